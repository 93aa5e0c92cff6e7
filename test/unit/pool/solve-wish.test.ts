import { create, toBinary } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { solveFacts } from '#pool/gateway/solve-wish.ts';
import { frameOf } from '#worker/buildkit/grpc/frames.ts';
import { SolveRequestSchema } from '#worker/buildkit/proto/github.com/moby/buildkit/api/services/control/control_pb.ts';

const facts = (attributes: Record<string, string>) => {
  const request = create(SolveRequestSchema, { Ref: 'one', Session: 'two', FrontendAttrs: attributes });
  return solveFacts(frameOf(toBinary(SolveRequestSchema, request)));
};

it('says which platforms a build is for, and what it stands on', () => {
  expect(facts({})).toEqual({ reference: 'one', session: 'two', project: '', isInternal: false, wish: {} });
  expect(facts({ platform: 'linux/arm64' }).wish).toEqual({ platforms: ['linux/arm64'] });
  expect(facts({ platform: 'linux/amd64,linux/arm64' }).wish).toEqual({
    platforms: ['linux/amd64', 'linux/arm64'],
  });
  expect(facts({ 'context:base': 'docker-image://alpine' }).wish).toEqual({ images: ['alpine'] });
  expect(facts({ context: 'https://git.example/repo.git' }).project).toBe('https://git.example/repo.git');
});

it('refuses what is no message', () => {
  expect(() => solveFacts(Buffer.from([1, 0, 0, 0, 0]))).toThrow('compressed');
  expect(() => solveFacts(Buffer.from([0, 0, 0, 0, 2, 0xff, 0xff]))).toThrow('no message');
});
