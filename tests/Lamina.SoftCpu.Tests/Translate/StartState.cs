namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Registers at the start of a guest program.</summary>
internal sealed class StartState
{
    public ulong[] Registers { get; } = new ulong[16];

    public byte[] Vectors { get; } = new byte[256];

    /// <summary>Upper halves of the YMM registers.</summary>
    public byte[] UpperVectors { get; } = new byte[256];

    public ulong Rip { get; set; }

    /// <summary>MSRs to set, besides EFER.</summary>
    public Dictionary<uint, ulong> Msrs { get; } = [];

    public ulong Flags { get; set; }

    public ulong FsBase { get; set; }

    public ulong GsBase { get; set; }
}
