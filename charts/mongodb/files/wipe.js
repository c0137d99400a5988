const fs = require('fs');
const url = fs.readFileSync(`${process.env.CREDENTIALS}/MONGODB_URL`, 'utf8').trim();
const host = process.env.HOST?.includes(':') ? `[${process.env.HOST}]` : process.env.HOST;
db = connect(host ? url.replace(/@[^/]*/, `@${host}:27017`) : url);
db.runCommand({dropDatabase: 1});
