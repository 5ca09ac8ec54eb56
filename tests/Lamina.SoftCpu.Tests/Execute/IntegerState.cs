using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>General registers and flags.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct IntegerState
{
    public fixed ulong General[16];

    public ulong Flags;
}
