using Iced.Intel;

namespace Lamina.Verify.Privileged;

/// <summary>Loads of segment registers, LDTR and TR, and instructions that look at descriptors (Intel SDM volume 2, MOV, POP, LDS, LAR, LSL, VERR, ARPL, LLDT, LTR; volume 3, chapter 5).</summary>
internal sealed partial class SystemModel
{
    private const uint SelectorTable = 4;

    private bool TryPerformSegments(in Instruction i)
    {
        switch (i.Mnemonic)
        {
            case Mnemonic.Mov when i.Op0Register.IsSegmentRegister():
                LoadSegment(SegmentNumber(i.Op0Register), LoadWord(i, 1));
                break;
            case Mnemonic.Mov when i.Op1Register.IsSegmentRegister():
                StoreWord(i, _m.Segments[SegmentNumber(i.Op1Register)].Selector);
                break;
            case Mnemonic.Pop when i.Op0Register.IsSegmentRegister():
                PopSegment(SegmentNumber(i.Op0Register), PushedSize(i));
                break;
            case Mnemonic.Push when i.Op0Register.IsSegmentRegister():
                PushSegment(_m.Segments[SegmentNumber(i.Op0Register)].Selector, PushedSize(i));
                break;
            case Mnemonic.Les:
                LoadFarPointer(i, MachineImage.Es);
                break;
            case Mnemonic.Lds:
                LoadFarPointer(i, MachineImage.Ds);
                break;
            case Mnemonic.Lss:
                LoadFarPointer(i, MachineImage.Ss);
                break;
            case Mnemonic.Lfs:
                LoadFarPointer(i, MachineImage.Fs);
                break;
            case Mnemonic.Lgs:
                LoadFarPointer(i, MachineImage.Gs);
                break;
            case Mnemonic.Lar:
                Query(i, _m.IsLong ? [2, 9, 11, 12] : [1, 2, 3, 4, 5, 9, 11, 12], static d => (uint)(d.Value >> 32) & 0xff_ff00);
                break;
            case Mnemonic.Lsl:
                Query(i, _m.IsLong ? [2, 9, 11] : [1, 2, 3, 9, 11], static d => d.Limit);
                break;
            case Mnemonic.Verr:
                RequireProtected();
                SetZero(IsVisible(LoadWord(i, 0), [], out DescriptorImage readable) && readable.IsReadable);
                break;
            case Mnemonic.Verw:
                RequireProtected();
                SetZero(IsVisible(LoadWord(i, 0), [], out DescriptorImage writable) && writable.IsWritable);
                break;
            case Mnemonic.Arpl:
                AdjustLevel(i);
                break;
            case Mnemonic.Lldt:
                LoadLocalTable(i);
                break;
            case Mnemonic.Ltr:
                LoadTask(i);
                break;
            case Mnemonic.Sldt:
                RequireProtected();
                RequireShown();
                StoreWord(i, _m.Segments[MachineImage.LocalTable].Selector);
                break;
            case Mnemonic.Str:
                RequireProtected();
                RequireShown();
                StoreWord(i, _m.Segments[MachineImage.Task].Selector);
                break;
            default:
                return false;
        }

        return true;
    }

    private void RequireProtected()
    {
        if (!_m.IsProtected)
        {
            throw ArchitecturalFault.Ud();
        }
    }

    // CR4.UMIP.
    private void RequireShown() => Require(_m.Cpl == 0 || (this[MachineRegister.Cr4] & 0x800) == 0);

    // A word goes into a register zero-extended, but of 16-bit operands.
    private void StoreWord(in Instruction i, ulong value)
    {
        if (i.Op0Kind == OpKind.Memory)
        {
            StoreOperand(Segment(i), Offset(i), value, 2);
        }
        else
        {
            WriteRegister(Number(i.Op0Register), (ushort)value, i.Op0Register.GetSize());
        }
    }

    private static int PushedSize(in Instruction i) => Math.Abs(i.StackPointerIncrement);

    private void PopSegment(int segment, int size)
    {
        ulong pointer = _m.General[Sp];
        RequireSlotAligned(pointer, size);
        ushort selector = (ushort)LoadOperand(MachineImage.Ss, Truncate(pointer, _m.StackSize), 2);
        try
        {
            // Whether it reads its whole slot, no manual says.
            Linear(MachineImage.Ss, Truncate(pointer, _m.StackSize), size, write: false);
            if ((Truncate(pointer, _m.StackSize) & 0xfff) + (ulong)size > 0x1000)
            {
                throw new UnjudgedCase("POP of a segment register across pages");
            }
        }
        catch (ArchitecturalFault)
        {
            throw new UnjudgedCase("POP of a segment register at the end of a segment");
        }

        int stackSize = _m.StackSize;
        LoadSegment(segment, selector);
        WriteRegister(Sp, Advance(pointer, size, stackSize), stackSize);
    }

    private void RequireSlotAligned(ulong pointer, int size)
    {
        ulong start = _m.Is64 ? 0 : _m.Segments[MachineImage.Ss].Base;
        if (ChecksAlignment && ((pointer + start) & (ulong)(size - 1)) != 0)
        {
            throw new UnjudgedCase("a segment register in a slot that is not aligned");
        }
    }

    // With operands of 32 bits only a word is written (PUSH, "if the source operand is a segment register and the operand size is 32 bits").
    private void PushSegment(ushort selector, int size)
    {
        ulong pointer = Advance(_m.General[Sp], -size, _m.StackSize);
        RequireSlotAligned(pointer, size);
        StoreOperand(MachineImage.Ss, Truncate(pointer, _m.StackSize), selector, size == 8 ? 8 : 2);
        WriteRegister(Sp, pointer, _m.StackSize);
    }

    private void LoadFarPointer(in Instruction i, int segment)
    {
        int size = i.Op0Register.GetSize();
        (ulong offset, ushort selector) = LoadPointer(i, size);
        LoadSegment(segment, selector);
        if (segment == MachineImage.Ss)
        {
            this[MachineRegister.StackShadow] = 0;
        }

        WriteRegister(Number(i.Op0Register), offset, size);
    }

    private (ulong Offset, ushort Selector) LoadPointer(in Instruction i, int size)
    {
        Span<byte> bytes = stackalloc byte[size + 2];
        ulong at = Offset(i);
        RequireWhole(i, at, size + 2, size);
        LoadOperand(Segment(i), at, bytes, size == 2 ? 2 : 4);
        ulong offset = size == 2 ? BitConverter.ToUInt16(bytes) : size == 4 ? BitConverter.ToUInt32(bytes) : BitConverter.ToUInt64(bytes);
        return (offset, BitConverter.ToUInt16(bytes[size..]));
    }

    // Which part of an operand is looked at first, the manuals leave open.
    private void RequireWhole(in Instruction i, ulong at, int length, int first)
    {
        ulong linear = _m.Is64 ? at + (Segment(i) is MachineImage.Fs or MachineImage.Gs ? _m.Segments[Segment(i)].Base : 0) : at;
        bool oneFits = _m.Is64 && IsCanonical(linear) && IsCanonical(linear + (ulong)first - 1) && !IsCanonical(linear + (ulong)length - 1);
        if (oneFits || (!_m.Is64 && linear + (ulong)length > (i.MemorySize == MemorySize.Unknown || Is16BitAddress(i) ? 0x1_0000UL : 0x1_0000_0000UL)))
        {
            throw new UnjudgedCase("an operand beyond the end of addresses");
        }
    }

    private static bool Is16BitAddress(in Instruction i) => i.MemoryBase.IsGPR16() || i.MemoryIndex.IsGPR16() || (i.MemoryBase == Register.None && i.MemoryDisplSize == 2);

    // MOV, POP and LDS: loads of any segment register but CS.
    private void LoadSegment(int segment, ushort selector)
    {
        if (!_m.IsProtected)
        {
            // Virtual-8086 mode (volume 3, section 21.2.2): real mode is the other model's.
            _m.Segments[segment] = new SegmentImage(selector, (uint)selector << 4, 0xffff, 0xf3);
        }
        else if (segment == MachineImage.Ss)
        {
            int rpl = selector & 3;
            bool nullAllowed = _m.Is64 && _m.Cpl < 3 && rpl == _m.Cpl;
            _m.Segments[segment] = IsNull(selector) && nullAllowed ? NullStack(selector) : CheckStack(selector, _m.Cpl, ArchitecturalFault.Protection);
        }
        else
        {
            _m.Segments[segment] = LoadData(selector, ArchitecturalFault.Protection);
        }

        if (segment == MachineImage.Ss)
        {
            this[MachineRegister.StackShadow] = 1;
        }
    }

    private static SegmentImage NullStack(ushort selector) => new(selector, 0, 0, SegmentImage.Unusable | ((selector & 3u) << 5));

    private static SegmentImage NullData(ushort selector) => new(selector, 0, 0, SegmentImage.Unusable);

    private SegmentImage LoadData(ushort selector, int vector)
    {
        if (IsNull(selector))
        {
            return NullData(selector);
        }

        DescriptorImage d = ReadDescriptor(selector, vector, out ulong at);
        int rpl = selector & 3;
        if (!d.IsReadable || (!d.IsConforming && (rpl > d.Dpl || _m.Cpl > d.Dpl)))
        {
            throw new ArchitecturalFault(vector, CodeOf(selector));
        }

        if (!d.IsPresent)
        {
            throw new ArchitecturalFault(ArchitecturalFault.NotPresent, CodeOf(selector));
        }

        MarkAccessed(d, at);
        return d.ToSegment(selector);
    }

    // A stack segment for a privilege level. A null selector is an error code of zero.
    private SegmentImage CheckStack(ushort selector, int level, int vector)
    {
        if (IsNull(selector))
        {
            throw new ArchitecturalFault(vector, 0);
        }

        DescriptorImage d = ReadDescriptor(selector, vector, out ulong at);
        if ((selector & 3) != level || !d.IsWritable || d.Dpl != level)
        {
            throw new ArchitecturalFault(vector, CodeOf(selector));
        }

        if (!d.IsPresent)
        {
            throw new ArchitecturalFault(ArchitecturalFault.Stack, CodeOf(selector));
        }

        MarkAccessed(d, at);
        return d.ToSegment(selector);
    }

    // Volume 3, section 3.5.1. Beyond the table's limit it is the exception that the caller names.
    private DescriptorImage ReadDescriptor(ushort selector, int vector, out ulong at)
    {
        at = Find(selector, 8) ?? throw new ArchitecturalFault(vector, CodeOf(selector));
        return new DescriptorImage(LoadSystem(at, 8));
    }

    private ulong? Find(ushort selector, uint size)
    {
        uint offset = selector & 0xfff8u;
        SegmentImage local = _m.Segments[MachineImage.LocalTable];
        return (selector & SelectorTable) == 0
            ? (offset + size - 1 <= this[MachineRegister.GdtLimit] ? this[MachineRegister.GdtBase] + offset : null)
            : local.IsUsable && offset + size - 1 <= local.Limit ? local.Base + offset : null;
    }

    private void MarkAccessed(in DescriptorImage d, ulong at)
    {
        if ((d.Type & 1) == 0)
        {
            if (LoadSystem(at, 8) != d.Value)
            {
                throw new UnjudgedCase("a stack in a descriptor table");
            }

            StoreSystem(at + 5, (byte)(d.Value >> 40) | 1u, 1);
        }
    }

    // LAR, LSL.
    private void Query(in Instruction i, ReadOnlySpan<int> types, Func<DescriptorImage, uint> value)
    {
        RequireProtected();
        bool visible = IsVisible(LoadWord(i, 1), types, out DescriptorImage d);
        if (visible)
        {
            WriteRegister(Number(i.Op0Register), value(d), i.Op0Register.GetSize());
        }

        SetZero(visible);
    }

    private bool IsVisible(ushort selector, ReadOnlySpan<int> types, out DescriptorImage d)
    {
        d = default;
        if (IsNull(selector) || Find(selector, 8) is not { } at)
        {
            return false;
        }

        d = new DescriptorImage(LoadSystem(at, 8));
        return (d.IsSegment || types.Contains(d.Type)) && (d.IsConforming || (_m.Cpl <= d.Dpl && (selector & 3) <= d.Dpl));
    }

    private void SetZero(bool set) => _m.Flags = set ? _m.Flags | Zero : _m.Flags & ~Zero;

    private void AdjustLevel(in Instruction i)
    {
        RequireProtected();
        ushort wanted = (ushort)_m.General[Number(i.Op1Register)];
        ushort selector = LoadWord(i, 0);
        bool raises = (selector & 3) < (wanted & 3);
        if (raises)
        {
            ulong value = (ulong)((selector & ~3) | (wanted & 3));
            if (i.Op0Kind == OpKind.Memory)
            {
                StoreOperand(Segment(i), Offset(i), value, 2);
            }
            else
            {
                WriteRegister(Number(i.Op0Register), value, 2);
            }
        }

        SetZero(raises);
    }

    private void LoadLocalTable(in Instruction i)
    {
        RequireProtected();
        RequireKernel();
        ushort selector = LoadWord(i, 0);
        if (IsNull(selector))
        {
            _m.Segments[MachineImage.LocalTable] = NullData(selector);
            return;
        }

        DescriptorImage d = ReadSystemDescriptor(selector, out _, out ulong address);
        Require(!d.IsSegment && d.Type == DescriptorImage.LocalTable, CodeOf(selector));
        RequirePresent(d, selector);
        _m.Segments[MachineImage.LocalTable] = d.ToSegment(selector) with { Base = address };
    }

    private void LoadTask(in Instruction i)
    {
        RequireProtected();
        RequireKernel();
        ushort selector = LoadWord(i, 0);
        Require(!IsNull(selector));
        DescriptorImage d = ReadSystemDescriptor(selector, out ulong at, out ulong address);
        Require(!d.IsSegment && (d.Type == DescriptorImage.Task32 || (d.Type == DescriptorImage.Task16 && !_m.IsLong)), CodeOf(selector));
        RequirePresent(d, selector);
        StoreSystem(at + 5, (byte)(d.Value >> 40) | (uint)DescriptorImage.Busy, 1);
        _m.Segments[MachineImage.Task] = d.ToSegment(selector) with { Base = address, Attributes = d.Attributes | DescriptorImage.Busy };
    }

    // Of the GDT alone; 16 bytes in long mode (volume 3, section 7.2.3).
    private DescriptorImage ReadSystemDescriptor(ushort selector, out ulong at, out ulong address)
    {
        Require((selector & SelectorTable) == 0, CodeOf(selector));
        DescriptorImage d = ReadDescriptor(selector, ArchitecturalFault.Protection, out at);
        address = d.Base;
        if (_m.IsLong)
        {
            address |= (ulong)ReadUpper(selector, ArchitecturalFault.Protection) << 32;
            if (!IsCanonical(address))
            {
                throw new UnjudgedCase("a base that is not canonical");
            }
        }

        return d;
    }

    private uint ReadUpper(ushort selector, int vector)
    {
        ulong at = Find(selector, 16) ?? throw new ArchitecturalFault(vector, CodeOf(selector));
        ulong upper = LoadSystem(at + 8, 8);
        return ((upper >> 40) & 31) == 0 ? (uint)upper : throw new ArchitecturalFault(vector, CodeOf(selector));
    }

    private static void RequirePresent(in DescriptorImage d, ushort selector)
    {
        if (!d.IsPresent)
        {
            throw new ArchitecturalFault(ArchitecturalFault.NotPresent, CodeOf(selector));
        }
    }
}
