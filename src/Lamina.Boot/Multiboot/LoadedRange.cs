namespace Lamina.Boot.Multiboot;

/// <summary>A part of an image: bytes of the file that go to an address, and the cleared memory that follows them.</summary>
internal readonly record struct LoadedRange(ulong FileOffset, ulong FileLength, ulong Address, ulong MemoryLength);
