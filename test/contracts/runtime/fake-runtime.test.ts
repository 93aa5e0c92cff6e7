import { FakeMachine, FakeRuntime } from '#worker/runtime/fake/fake-runtime.ts';
import type { OciSpec } from '#worker/runtime/spec/oci-spec.ts';
import { runtimeContract } from './runtime-contract.ts';

runtimeContract('the fake', async () => {
  const machine = new FakeMachine();
  return {
    runtime: new FakeRuntime(machine),
    restart: () => new FakeRuntime(machine),
    spec: async (_, args) => ({ process: { args } }) as OciSpec,
    leftovers: async () => [...machine.tasks.keys()],
    remove: async () => {},
  };
});
