const { createServer } = require('node:http');
const { greeting } = require('greeting');

createServer((_request, response) => response.end(greeting('Slipway'))).listen(3000);
