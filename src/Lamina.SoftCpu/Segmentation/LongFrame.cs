using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>What an interrupt pushes in long mode, from low to high addresses, without an error code (Intel SDM volume 3, figure 6-9).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LongFrame
{
    public ulong Rip;
    public ulong CodeSelector;
    public ulong Flags;
    public ulong Rsp;
    public ulong StackSelector;
}
