const fs = require('fs');
const url = fs.readFileSync(`${process.env.CREDENTIALS}/MONGODB_URL`, 'utf8').trim();
db = connect(process.env.HOST ? url.replace(/@[^/]*/, `@${process.env.HOST}:27017`) : url);
const collections = db.runCommand({listCollections: 1, nameOnly: true}).cursor.firstBatch;
print(collections.filter(one => !one.name.startsWith('system.')).length);
