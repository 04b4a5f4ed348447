// SPDX-License-Identifier: Apache-2.0
// client - @grpc/grpc-js asks a node what the tests want asked. Arguments: its modules, the folders of .proto files, those files.
// A line in: {"address", "method": "/package.Service/Method", "request": base64, "seconds"}.
// A line out: {"replies": [base64]} or {"code", "words"}. What goes over the wire is made of objects by grpc-js, and read into objects.
'use strict';
const [, , modules, folders, ...files] = process.argv;
const grpc = require(`${modules}/@grpc/grpc-js`);
const loader = require(`${modules}/@grpc/proto-loader`);
const lines = require('readline').createInterface({ input: process.stdin });

const methods = {};
const loaded = loader.loadSync(files, { includeDirs: folders.split(':'), keepCase: true, longs: String, enums: String, oneofs: true });
for (const thing of Object.values(loaded))
	for (const method of Object.values(thing))
		if (method && method.path)
			methods[method.path] = method;
const clients = {};

function client(address) {
	clients[address] ??= new grpc.Client(address, grpc.credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
	return clients[address];
}

function ask({ address, method, request, seconds }) {
	const kind = methods[method];
	const args = [kind.path, kind.requestSerialize, kind.responseDeserialize, kind.requestDeserialize(Buffer.from(request, 'base64')),
		new grpc.Metadata(), { deadline: Date.now() + seconds * 1000 }];
	const text = (reply) => kind.responseSerialize(reply).toString('base64');
	const failed = (error) => ({ code: grpc.status[error.code], words: error.details });
	return new Promise((good) => {
		if (!kind.responseStream) {
			client(address).makeUnaryRequest(...args, (error, reply) => good(error ? failed(error) : { replies: [text(reply)] }));
			return;
		}
		const replies = [];
		const stream = client(address).makeServerStreamRequest(...args);
		stream.on('data', (reply) => replies.push(text(reply)));
		stream.on('error', (error) => good(failed(error)));
		stream.on('end', () => good({ replies }));
	});
}

(async () => {
	for await (const line of lines)
		console.log(JSON.stringify(await ask(JSON.parse(line))));
	process.exit(0);
})();
