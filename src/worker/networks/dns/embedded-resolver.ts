/** Answers the names of containers to containers. */
export class EmbeddedResolver {
  async serve(_containerId: string, _namespace: string): Promise<void> {}

  async stop(_containerId: string): Promise<void> {}

  async close(): Promise<void> {}
}
