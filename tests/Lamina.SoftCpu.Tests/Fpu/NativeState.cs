using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Tests.Fpu;

/// <summary>Registers as the code around an instruction loads and stores them.</summary>
[StructLayout(LayoutKind.Explicit, Size = 2048)]
internal unsafe struct NativeState
{
    public const int GeneralOffset = 512;
    public const int FlagsOffset = 640;
    public const int MxcsrOffset = 648;
    public const int X87Offset = 1024;

    [FieldOffset(0)]
    public fixed byte Vectors[512];

    [FieldOffset(GeneralOffset)]
    public fixed ulong General[16];

    [FieldOffset(FlagsOffset)]
    public ulong Flags;

    [FieldOffset(MxcsrOffset)]
    public uint Mxcsr;

    [FieldOffset(X87Offset)]
    public fixed byte X87[512];
}
