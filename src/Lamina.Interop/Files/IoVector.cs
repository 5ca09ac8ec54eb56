using System.Runtime.InteropServices;

namespace Lamina.Interop.Files;

/// <summary><c>struct iovec</c>: bytes of this process. Whoever makes one vouches that they are mapped while it is used.</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct IoVector(nint Address, nuint Length);
