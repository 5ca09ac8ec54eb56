namespace Lamina.Storage;

/// <summary>A file that a disk image needs.</summary>
/// <param name="Path">Its name, as it is asked for.</param>
/// <param name="IsWritable">Whether it is written.</param>
/// <param name="IsDirect">Whether it is used past the host's cache.</param>
public sealed record ImageFile(string Path, bool IsWritable, bool IsDirect);
