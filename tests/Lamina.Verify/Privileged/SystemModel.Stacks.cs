using System.Buffers.Binary;

namespace Lamina.Verify.Privileged;

/// <summary>Stacks that are popped from and pushed on, also others than the current one (Intel SDM volume 3, sections 5.8.5 and 6.14.2).</summary>
internal sealed partial class SystemModel
{
    // Whether values can be popped, as far as segmentation says: first all are looked at.
    private void RequirePopped(ulong pointer, int count, int size)
    {
        for (int n = 0; n < count; n++)
        {
            try
            {
                Linear(MachineImage.Ss, Truncate(pointer + (ulong)(n * size), _m.StackSize), size, write: false);
            }
            catch (ArchitecturalFault)
            {
                for (int before = 0; before < n; before++)
                {
                    RequireTouched(Linear(MachineImage.Ss, Truncate(pointer + (ulong)(before * size), _m.StackSize), size, write: false), size, Access.Read, _m.Cpl == 3, isExplicit: true);
                }

                throw;
            }
        }
    }

    // Whether a page fault of a part of a stack comes before the next part is outside of the segment, the manuals leave open.
    private void RequireTouched(ulong linear, int size, Access access, bool user, bool isExplicit)
    {
        try
        {
            Span<ulong> physical = stackalloc ulong[16];
            Locate(linear, size, access, user, isExplicit, physical);
        }
        catch (ArchitecturalFault)
        {
            throw new UnjudgedCase("a stack that ends in a page that is not there");
        }
    }

    private ulong Pop(ref ulong pointer, int size)
    {
        ulong value = LoadOperand(MachineImage.Ss, Truncate(pointer, _m.StackSize), size);
        pointer = Advance(pointer, size, _m.StackSize);
        return value;
    }

    private static ulong Advance(ulong pointer, long by, int addressSize)
    {
        ulong next = pointer + (ulong)by;
        return addressSize == 8 ? next : addressSize == 4 ? (uint)next : (pointer & ~0xffffUL) | (ushort)next;
    }

    // The stack to push on: the current one, or another.
    private struct NewStack
    {
        public SegmentImage Segment;
        public ulong Pointer;
        public int AddressSize;
        public bool IsUser;
        public bool IsExplicit;

        // Of #SS.
        public uint Code;
    }

    private NewStack CurrentStack(int addressSize = 0, bool isExplicit = true) => new()
    {
        Segment = _m.Segments[MachineImage.Ss],
        Pointer = _m.General[Sp],
        AddressSize = addressSize == 0 ? _m.StackSize : addressSize,
        IsUser = _m.Cpl == 3,
        IsExplicit = isExplicit,
    };

    // "IF stack does not have room for ... bytes THEN #SS".
    private void RequireRoom(in NewStack stack, int count, int size)
    {
        for (int n = 1; n <= count; n++)
        {
            ulong offset = stack.Pointer - (ulong)(n * size);
            bool inside = stack.AddressSize == 8
                ? IsCanonical(offset) && IsCanonical(offset + (ulong)size - 1)
                : (!_m.IsProtected || (stack.Segment.IsUsable && stack.Segment.HasSecondRight)) && IsInside(stack.Segment, (uint)Truncate(offset, stack.AddressSize), size);
            if (!inside)
            {
                for (int before = 1; before < n; before++)
                {
                    ulong at = Truncate(stack.Pointer - (ulong)(before * size), stack.AddressSize);
                    RequireTouched(stack.AddressSize == 8 ? at : (uint)(stack.Segment.Base + at), size, Access.Write, stack.IsUser, stack.IsExplicit);
                }

                throw new ArchitecturalFault(ArchitecturalFault.Stack, stack.Code);
            }
        }
    }

    private void Push(ref NewStack stack, ulong value, int size)
    {
        _pushesFrame = !stack.IsExplicit;
        stack.Pointer = Advance(stack.Pointer, -size, stack.AddressSize);
        ulong offset = Truncate(stack.Pointer, stack.AddressSize);
        ulong linear = stack.AddressSize == 8 ? offset : (uint)(stack.Segment.Base + offset);
        if (stack.IsExplicit)
        {
            RequireAligned(linear, size, 0, Access.Write);
        }
        else if (ChecksAlignment && stack.IsUser && (linear & (ulong)(size - 1)) != 0)
        {
            throw new UnjudgedCase("a frame that is not aligned, at CPL 3");
        }

        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        Store(linear, bytes[..size], stack.IsUser, stack.IsExplicit);
        _pushesFrame = false;
    }

    private void Use(in NewStack stack)
    {
        _m.Segments[MachineImage.Ss] = stack.Segment;
        _m.General[Sp] = stack.Pointer;
    }
}
