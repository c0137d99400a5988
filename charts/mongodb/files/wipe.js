const fs = require('fs');
const url = fs.readFileSync(`${process.env.CREDENTIALS}/MONGODB_URL`, 'utf8').trim();
db = connect(process.env.HOST ? url.replace(/@[^/]*/, `@${process.env.HOST}:27017`) : url);
db.runCommand({dropDatabase: 1});
