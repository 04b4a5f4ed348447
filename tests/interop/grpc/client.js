// SPDX-License-Identifier: Apache-2.0
// client - @grpc/grpc-js asks our server (the arguments: its modules, echo.proto, certificates, addresses), and our client asks it.
// A line for each case: "ok NAME" or "not ok NAME: why".
'use strict';
const [, , modules, proto, certs, tcp, unix, tls] = process.argv;
const grpc = require(`${modules}/@grpc/grpc-js`);
const loader = require(`${modules}/@grpc/proto-loader`);
const fs = require('fs');
const assert = require('assert');
const C = grpc.status;
const echo = grpc.loadPackageDefinition(loader.loadSync(proto, { longs: String, oneofs: true })).test.Echo;
const read = (name) => fs.readFileSync(`${certs}/${name}`);
const after = (ms) => ({ deadline: Date.now() + ms });
const big = { 'grpc.max_receive_message_length': -1 };

function say(client, ask, how = after(20000)) {
	return new Promise((good, bad) => client.Say(ask, new grpc.Metadata(), how, (error, reply) => (error ? bad(error) : good(reply))));
}
async function refused(promise, code) {
	try {
		await promise;
	} catch (error) {
		assert.strictEqual(error.code, code, error.message);
		return error;
	}
	throw new Error('was not refused');
}
function many(client, ask) {
	return new Promise((good) => {
		const got = [];
		const stream = client.Many(ask, after(30000));
		stream.on('data', (reply) => got.push(reply));
		stream.on('error', (error) => good({ got, error }));
		stream.on('end', () => good({ got }));
	});
}
const secure = (who, folder = '.') => new echo(tls, grpc.credentials.createSsl(read('ca.pem'),
	who && read(`${folder}/${who}.key`), who && read(`${folder}/${who}.pem`)), big);

const cases = {
	async calls_over_tcp_and_unix_sockets() {
		for (const at of [tcp, unix]) {
			const client = new echo(at, grpc.credentials.createInsecure());
			for (let n = 0; n < 100; n++)
				assert.strictEqual((await say(client, { text: `grüße ${n}` })).text, `grüße ${n}`);
			client.close();
		}
	},
	async every_status_has_its_code_and_words() {
		const client = new echo(tcp, grpc.credentials.createInsecure());
		for (let code = 1; code <= 16; code++)
			assert.strictEqual((await refused(say(client, { text: "100% 'pöl'\n€", code }), code)).details, "100% 'pöl'\n€");
		client.close();
	},
	async optional_fields_have_presence() {
		const client = new echo(tcp, grpc.credentials.createInsecure());
		const items = (await say(client, { text: 'x', items: [{ name: 'a' }, { name: 'b', size: 0 }] })).items;
		assert.ok(!('size' in items[0]) && items[1].size === '0');
		client.close();
	},
	async deadlines_and_cancellation() {
		const client = new echo(tcp, grpc.credentials.createInsecure());
		await refused(say(client, { text: 'x', sleepMs: 60000 }, after(200)), C.DEADLINE_EXCEEDED);
		await refused(new Promise((good, bad) => {
			const call = client.Say({ text: 'x', sleepMs: 60000 }, (error) => bad(error));
			setTimeout(() => call.cancel(), 100);
		}), C.CANCELLED);
		client.close();
	},
	async streams_have_all_messages_and_their_status() {
		const client = new echo(tcp, grpc.credentials.createInsecure(), big);
		let { got, error } = await many(client, { text: 'the end', count: 50, size: 100000, code: C.ABORTED });
		assert.strictEqual(got.length, 50);
		assert.ok(got.every((reply, n) => reply.blob.length === 100000 && (reply.index || 0) === n));
		assert.strictEqual(error.details, 'the end');
		({ got, error } = await many(client, { text: 'x', count: 5 }));
		assert.ok(got.length === 5 && !error);
		client.close();
	},
	async big_messages_pass_and_bigger_ones_are_refused() {
		const client = new echo(tcp, grpc.credentials.createInsecure(), big);
		const reply = await say(client, { text: 'x', size: 5000000, items: [{ blob: Buffer.alloc(3000000, 7) }] });
		assert.ok(reply.blob.length === 5000000 && reply.items[0].blob.length === 3000000);
		await refused(say(client, { text: 'x', items: [{ blob: Buffer.alloc(5000000) }] }), C.RESOURCE_EXHAUSTED);
		client.close();
	},
	async a_thousand_calls_in_flight_are_answered() {
		const client = new echo(tcp, grpc.credentials.createInsecure());
		const replies = await Promise.all(Array.from({ length: 1000 }, (_, n) => say(client, { text: `${n}`, sleepMs: 100 }, after(60000))));
		assert.ok(replies.every((reply, n) => reply.text === `${n}`));
		client.close();
	},
	async certificates_let_in_or_not() {
		let client = secure('client');
		assert.strictEqual((await say(client, { text: 'x', size: 3000000 })).blob.length, 3000000);
		client.close();
		for (client of [secure(null), secure('client', 'wrong')]) {
			await refused(say(client, { text: 'x' }, after(3000)), C.UNAVAILABLE);
			client.close();
		}
	},
};

function serve() {
	const server = new grpc.Server();
	server.addService(echo.service, {
		Say: (call, done) => (call.request.code ?
			done({ code: call.request.code, details: 'gone 100% ü' }) :
			done(null, { text: call.request.text, blob: Buffer.alloc(call.request.size || 0) })),
		Many: (call) => {
			for (let index = 0; index < call.request.count; index++)
				call.write({ index, blob: Buffer.alloc(call.request.size || 0) });
			if (call.request.code)
				call.emit('error', { code: call.request.code, details: 'the end' });
			else
				call.end();
		},
		Ask: (call, done) => done(null, {}),
		Later: (call, done) => done(null, {}),
	});
	return new Promise((good) => server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (_, port) => good(port)));
}

(async () => {
	for (const [name, run] of Object.entries(cases)) {
		try {
			await run();
			console.log(`ok ${name}`);
		} catch (error) {
			console.log(`not ok ${name}: ${error.stack}`.replace(/\n/g, ' '));
		}
	}
	console.log(`port ${await serve()}`);
	process.stdin.on('end', () => process.exit(0));
	process.stdin.resume();
})();
