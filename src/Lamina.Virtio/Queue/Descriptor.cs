using System.Runtime.InteropServices;

namespace Lamina.Virtio.Queue;

/// <summary>A descriptor of a split ring (virtio 1.2, section 2.7.5), or of a packed one (section 2.8.13), where the last two fields are the identifier and the flags.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct Descriptor
{
    public const int Size = 16;

    public readonly ulong Address;
    public readonly uint Length;
    public readonly ushort Third;
    public readonly ushort Fourth;

    public Descriptor(ulong address, uint length, ushort third, ushort fourth)
    {
        Address = address;
        Length = length;
        Third = third;
        Fourth = fourth;
    }
}
