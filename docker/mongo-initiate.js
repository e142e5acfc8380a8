/**
 * Run by mongosh in the network of mongo-1, once per `up`: makes the three members one replica set, the administrator and the
 * server's own user. https://www.mongodb.com/docs/manual/tutorial/deploy-replica-set-with-keyfile-access-control/
 * Invariants: running it again changes nothing but the server's password, to what the secret says; no password is printed.
 */
const { readFileSync } = require('node:fs');
const secret = (name) => readFileSync(`/run/secrets/${name}`, 'utf8').trim();

const rootPassword = secret('mongodb-root-password');
const uri = /^mongodb:\/\/([^:/@]+):([^:/@]+)@[^/@]+\/([^/?]+)\?(?:.*&)?replicaSet=assent(?:&|$)/.exec(secret('mongodb-uri'));
if (!uri) throw new Error('The secret mongodb-uri must read mongodb://USER:PASSWORD@HOSTS/DATABASE?replicaSet=assent');
const [user, password, database] = uri.slice(1).map(decodeURIComponent);

/** Before the first user exists, a connection from the machine itself may initiate and create that user, and nothing else. */
function signIn() {
  try {
    return db.getSiblingDB('admin').auth('root', rootPassword).ok === 1;
  } catch {
    return false;
  }
}

/** Users are written at the primary. mongo-1 has the highest priority, so it becomes it when a majority is there. */
function waitForPrimary() {
  for (let waited = 0; !db.hello().isWritablePrimary; waited++) {
    if (waited === 240) throw new Error('mongo-1 did not become primary within two minutes: are all three members up?');
    sleep(500);
  }
}

if (!db.hello().setName) {
  rs.initiate({
    _id: 'assent',
    members: [
      { _id: 0, host: 'mongo-1:27017', priority: 2 },
      { _id: 1, host: 'mongo-2:27017' },
      { _id: 2, host: 'mongo-3:27017' },
    ],
  });
}
waitForPrimary();
if (!signIn()) {
  try {
    db.getSiblingDB('admin').createUser({ user: 'root', pwd: rootPassword, roles: ['root'] });
  } catch (error) {
    throw new Error(`The administrator can neither sign in nor be made: is mongodb-root-password the one the database was made with? (${error.codeName})`);
  }
  signIn();
}
// dbAdmin: migrations change validators of collections, which readWrite does not allow.
const roles = [
  { role: 'readWrite', db: database },
  { role: 'dbAdmin', db: database },
];
const own = db.getSiblingDB(database);
if (own.getUser(user)) own.updateUser(user, { pwd: password, roles });
else own.createUser({ user, pwd: password, roles });
print('The replica set assent is ready.');
