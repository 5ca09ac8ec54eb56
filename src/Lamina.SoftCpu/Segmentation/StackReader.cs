using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Pops from the current stack. RSP itself does not change.</summary>
internal unsafe struct StackReader
{
    /// <summary>RSP as the pops so far leave it.</summary>
    public ulong Pointer;

    private int _addressSize;

    public static StackReader Current(ProcessorContext* c) => new() { Pointer = c->Registers[4], _addressSize = c->StackSize };

    /// <summary>Pops a value of 2, 4 or 8 bytes.</summary>
    public bool Pop(ProcessorContext* c, int size, out ulong value)
    {
        ulong offset = _addressSize == 8 ? Pointer : _addressSize == 4 ? (uint)Pointer : (ushort)Pointer;
        bool ok;
        switch (size)
        {
            case 2:
                ok = GuestAccess.Load(c, SegmentRegister.Ss, offset, out ushort word);
                value = word;
                break;
            case 4:
                ok = GuestAccess.Load(c, SegmentRegister.Ss, offset, out uint dword);
                value = dword;
                break;
            default:
                ok = GuestAccess.Load(c, SegmentRegister.Ss, offset, out value);
                break;
        }

        Skip(size);
        return ok;
    }

    /// <summary>Moves over <paramref name="bytes"/>.</summary>
    public void Skip(int bytes)
    {
        ulong next = Pointer + (ulong)bytes;
        Pointer = _addressSize == 8 ? next : _addressSize == 4 ? (uint)next : (Pointer & ~0xffffUL) | (ushort)next;
    }
}
