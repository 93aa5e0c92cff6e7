import { digestOf } from '#oci/digest.ts';
import { Connection } from './load.ts';

/** Pushes a blob as containerd does: POST, then everything in one PUT. */
export async function pushBlob(address: string, repository: string, bytes: Uint8Array): Promise<void> {
  using connection = await Connection.to(address);
  await putBlob(connection, address, repository, bytes, digestOf(bytes));
}

export async function putBlob(
  connection: Connection,
  address: string,
  repository: string,
  bytes: Uint8Array,
  digest: string,
): Promise<void> {
  const path = await beginUpload(connection, address, repository, digest);
  const headers = { 'Content-Type': 'application/octet-stream' };
  const status = await connection.send({ method: 'PUT', path, headers, body: bytes });
  if (status !== 201) throw new Error(`blob PUT: ${status}`);
}

/** Begins an upload; resolves to the path, with query, that takes the blob in one PUT. */
export async function beginUpload(
  connection: Connection,
  address: string,
  repository: string,
  digest: string,
): Promise<string> {
  const status = await connection.send({ method: 'POST', path: `/v2/${repository}/blobs/uploads/` });
  if (status !== 202) throw new Error(`upload POST: ${status}`);
  const location = new URL(connection.location, `http://${address}`);
  location.searchParams.set('digest', digest);
  return location.pathname + location.search;
}
