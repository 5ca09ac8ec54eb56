namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>A place in a program.</summary>
internal sealed class Place
{
    /// <summary>Offset in the program, or -1.</summary>
    public int Offset { get; set; } = -1;

    /// <summary>Flags that are undefined in some jump to it.</summary>
    public uint Undefined { get; set; }

    /// <summary>Displacements to fill in: offset and size.</summary>
    public List<(int Offset, int Size)> Uses { get; } = [];

    /// <summary>8-byte addresses to fill in.</summary>
    public List<int> Pointers { get; } = [];
}
