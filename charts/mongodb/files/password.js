const fs = require('fs');
const read = path => fs.readFileSync(path, 'utf8').trim();
const url = read(`${process.env.CREDENTIALS}/MONGODB_URL`);
const [, user, password, rest] = /^mongodb:\/\/([^:@/]+):([^:@/]+)@(.*)$/.exec(url);
const host = process.env.HOST?.includes(':') ? `[${process.env.HOST}]` : process.env.HOST;
const target = host ? rest.replace(/^[^/]*/, `${host}:27017`) : rest;
const given = read(process.env.NEW); // of the one variable that has it, which is the URL
const [, fresh] = /^mongodb:\/\/[^:@/]+:([^:@/]+)@/.exec(given) ?? [given, given];

const login = word => connect(`mongodb://${user}:${word}@${target}`);
let done = true;
try { login(fresh); } catch { done = false; }
if (!done) login(password).runCommand({updateUser: decodeURIComponent(user), pwd: decodeURIComponent(fresh)});
