namespace Lamina.Storage;

/// <summary>What a disk image keeps of its own past.</summary>
/// <param name="Id">Its number.</param>
/// <param name="Name">What its maker called it.</param>
/// <param name="Taken">When it was taken.</param>
/// <param name="DiskLength">Bytes of the disk then.</param>
/// <param name="StateLength">Bytes of a machine's state that another program stored with it.</param>
public sealed record DiskSnapshot(string Id, string Name, DateTime Taken, ulong DiskLength, ulong StateLength);
