namespace Lamina.Vmm.Snapshots;

/// <summary>Something of the host, outside of its directory, that a snapshot says its machine needs.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Name">The path of a file or socket, the name of an interface or bridge.</param>
public sealed record HostResource(HostResourceKind Kind, string Name);
