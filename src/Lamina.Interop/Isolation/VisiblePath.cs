namespace Lamina.Interop.Isolation;

/// <summary>A file or directory that a process keeps in sight in <see cref="PrivateNamespaces"/>.</summary>
/// <param name="Path">Its absolute path.</param>
/// <param name="IsReadOnly">Whether nothing can be changed there.</param>
public readonly record struct VisiblePath(string Path, bool IsReadOnly);
