// Makes the replica set, the app's user and what the bootstrap script makes. Runs where nobody needs a password.
const fs = require('fs');
const read = (folder, name) => fs.readFileSync(`${process.env[folder]}/${name}`, 'utf8').trim();
const [, user, password] = /^mongodb:\/\/([^:@/]+):([^:@/]+)@/.exec(read('CREDENTIALS', 'MONGODB_URL'));
const name = read('CREDENTIALS', 'MONGODB_DATABASE');

db = connect('mongodb://127.0.0.1:27017/admin?directConnection=true');
db.runCommand({replSetInitiate: {_id: 'k8s-ee', members: [{_id: 0, host: 'mongodb:27017'}]}});
while (!db.runCommand({hello: 1}).isWritablePrimary) sleep(20);
db = db.getSiblingDB(name);
db.runCommand({createUser: user, pwd: decodeURIComponent(password), roles: [{role: 'dbOwner', db: name}]});
if (read('SCRIPTS', 'bootstrap.js')) {
  try { load(`${process.env.SCRIPTS}/bootstrap.js`); } catch (error) { throw new Error(`bootstrap: ${error}`); }
}
