namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>Builds descriptors (Intel SDM volume 3, figures 3-8, 5-8 and 6-2).</summary>
internal static class Descriptors
{
    /// <summary>A segment: raw 20-bit limit, access byte (bits 47:40) and flags (AVL, L, D/B, G in bits 3:0).</summary>
    public static ulong Segment(uint address, uint limit, uint access, uint flags)
    {
        return (limit & 0xffff) | ((ulong)(address & 0xff_ffff) << 16) | ((ulong)access << 40)
            | ((ulong)((limit >> 16) & 15) << 48) | ((ulong)flags << 52) | ((ulong)(address >> 24) << 56);
    }

    /// <summary>A 32-bit segment of 4 GiB.</summary>
    public static ulong Flat(uint access) => Segment(0, 0xf_ffff, access, 0xc);

    /// <summary>A call, interrupt, trap or task gate. <paramref name="count"/> is the parameter count or the stack index.</summary>
    public static ulong Gate(uint type, int dpl, ushort selector, uint offset, int count = 0, bool present = true)
    {
        uint access = type | ((uint)dpl << 5) | (present ? 0x80u : 0);
        return (offset & 0xffff) | ((ulong)selector << 16) | ((ulong)(uint)count << 32) | ((ulong)access << 40) | ((ulong)(offset >> 16) << 48);
    }
}
