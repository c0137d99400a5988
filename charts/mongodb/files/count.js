const fs = require('fs');
const url = fs.readFileSync(`${process.env.CREDENTIALS}/MONGODB_URL`, 'utf8').trim();
const host = process.env.HOST?.includes(':') ? `[${process.env.HOST}]` : process.env.HOST;
db = connect(host ? url.replace(/@[^/]*/, `@${host}:27017`) : url);
const collections = db.runCommand({listCollections: 1, nameOnly: true}).cursor.firstBatch;
print(collections.filter(one => !one.name.startsWith('system.')).length);
