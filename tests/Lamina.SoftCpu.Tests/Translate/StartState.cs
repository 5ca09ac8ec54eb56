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

    /// <summary>SYSCALL and SYSRET exist, and the former goes to an address (IA32_STAR, IA32_LSTAR, EFER.SCE).</summary>
    public void EnableSystemCalls(ulong handler)
    {
        Msrs[0xc000_0081] = 0x0013_0008_0000_0000;
        Msrs[0xc000_0082] = handler;
        Msrs[0xc000_0080] = 0xd01;
    }

    public ulong GsBase { get; set; }
}
