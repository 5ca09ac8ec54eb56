using Iced.Intel;

namespace Lamina.Verify.Legacy;

/// <summary>Loads and stores of segment registers in protected mode at CPL 3 (Intel SDM volume 2, MOV, POP, LDS; volume 3, sections 3.4.5 and 5.6), from <see cref="DescriptorList"/>, and from the local table that has the segment registers themselves first.</summary>
internal sealed partial class ModelProcessor
{
    private const int Level = 3;

    private bool RunSegment(in Instruction i)
    {
        switch (i.Mnemonic)
        {
            case Mnemonic.Mov when IsSegmentRegister(i.Op1Register):
                uint value = _segments[i.Op1Register - Register.ES].Selector;
                if (i.Op0Kind == OpKind.Memory)
                {
                    Write(Segment(i), Offset(i), 2, value);
                }
                else
                {
                    Set(i.Op0Register, value);
                }

                return true;

            case Mnemonic.Mov when IsSegmentRegister(i.Op0Register):
                if (i.Op1Kind == OpKind.Memory ? Read(Segment(i), Offset(i), 2, out value) : (value = Get(i.Op1Register)) == value)
                {
                    LoadSegment(i.Op0Register - Register.ES, (ushort)value);
                }

                return true;

            case Mnemonic.Push when IsSegmentRegister(i.Op0Register):
                // Of a 32-bit slot only the lower half is written.
                uint top = Truncate(_registers[Sp] + (uint)i.StackPointerIncrement, StackSize);
                if (Write(SegmentValues.Ss, top, 2, _segments[i.Op0Register - Register.ES].Selector))
                {
                    SetLow(Sp, top, StackSize);
                }

                return true;

            case Mnemonic.Pop when IsSegmentRegister(i.Op0Register):
                int size = StackSize;
                uint bottom = Truncate(_registers[Sp], size);
                if (Read(SegmentValues.Ss, bottom, 2, out value) && LoadSegment(i.Op0Register - Register.ES, (ushort)value))
                {
                    SetLow(Sp, bottom + (uint)i.StackPointerIncrement, size);
                }

                return true;

            case Mnemonic.Lds or Mnemonic.Les or Mnemonic.Lss or Mnemonic.Lfs or Mnemonic.Lgs:
                LoadPointer(i);
                return true;

            default:
                return false;
        }
    }

    private void LoadPointer(in Instruction i)
    {
        int segment = i.Mnemonic switch { Mnemonic.Les => SegmentValues.Es, Mnemonic.Lds => SegmentValues.Ds, Mnemonic.Lss => SegmentValues.Ss, Mnemonic.Lfs => 4, _ => 5 };
        int size = i.Op0Register.GetSize();
        if (ReadPair(i, size, out uint pointer, 2, out uint selector) && LoadSegment(segment, (ushort)selector))
        {
            Set(i.Op0Register, pointer);
        }
    }

    private bool LoadSegment(int segment, ushort selector)
    {
        const uint table = 4;
        const uint systemBit = 0x10;
        const uint conforming = 4;
        if (_mode != CodeMode.Protected)
        {
            // Real mode leaves the limit as it is.
            SegmentValue old = _segments[segment];
            uint start = (uint)selector << 4;
            _segments[segment] = _mode == CodeMode.Real ? old with { Selector = selector, Base = start } : new SegmentValue(selector, start, 0xffff, 0xf3);
            return true;
        }

        bool stack = segment == SegmentValues.Ss;
        uint code = selector & ~3u;
        if (code == 0)
        {
            if (stack)
            {
                Raise(13);
                return false;
            }

            _segments[segment] = new SegmentValue(selector, 0, 0, SegmentValue.Unusable);
            return true;
        }

        int index = selector >> 3;
        bool local = (selector & table) != 0;
        LoadsGlobal = !local;
        if (index >= (local ? DescriptorList.LocalCount : DescriptorList.All.Length))
        {
            Raise(13, code);
            return false;
        }

        ulong d = local ? DescriptorList.GetLocal(_local, index) : DescriptorList.All[index];
        uint attributes = (uint)(d >> 40) & 0xf0ff;
        uint dpl = (attributes >> 5) & 3;
        uint rpl = selector & 3u;
        bool isSegment = (attributes & systemBit) != 0;
        bool isCode = (attributes & SegmentValue.Code) != 0;
        bool right = (attributes & SegmentValue.WritableOrReadable) != 0;
        bool allowed = stack
            ? isSegment && !isCode && right && rpl == Level && dpl == Level
            : isSegment && (!isCode || right) && ((isCode && (attributes & conforming) != 0) || (rpl <= dpl && Level <= dpl));
        if (!allowed)
        {
            Raise(13, code);
            return false;
        }

        if ((attributes & SegmentValue.Present) == 0)
        {
            Raise(stack ? 12 : 11, code);
            return false;
        }

        uint limit = (uint)(d & 0xffff) | ((uint)(d >> 32) & 0xf_0000);
        bool granular = (attributes & 0x8000) != 0;
        uint @base = (uint)((d >> 16) & 0xff_ffff) | ((uint)(d >> 56) << 24);
        _accessed |= (ushort)(!local && (attributes & SegmentValue.Accessed) == 0 ? 1 << index : 0);
        _segments[segment] = new SegmentValue(selector, @base, granular ? (limit << 12) | 0xfff : limit, attributes | SegmentValue.Accessed);
        return true;
    }
}
