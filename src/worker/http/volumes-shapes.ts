import { z } from 'zod';
import type { Volume } from '../volumes/volumes.ts';

const strings = z.record(z.string(), z.string()).nullish();

/** `POST /volumes/create`. */
export const createVolumeBody = z.object({
  Name: z.string().nullish(),
  Driver: z.string().nullish(),
  DriverOpts: strings,
  Labels: strings,
});

/** `usage` where it was asked for: `docker system df`. */
export function volumeShape(volume: Volume, usage?: { size: number; users: readonly string[] }): object {
  return {
    CreatedAt: `${volume.createdAt.toISOString().slice(0, 19)}Z`,
    Driver: volume.driver,
    Labels: nullIfEmpty(volume.labels),
    Mountpoint: volume.mountpoint,
    Name: volume.name,
    Options: nullIfEmpty(volume.options),
    Scope: 'local',
    ...(usage && { UsageData: { RefCount: usage.users.length, Size: usage.size } }),
  };
}

const nullIfEmpty = (map: Readonly<Record<string, string>>) => (Object.keys(map).length === 0 ? null : map);
