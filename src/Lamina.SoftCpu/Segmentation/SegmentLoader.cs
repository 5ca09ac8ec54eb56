using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Loads of ES, SS, DS, FS and GS in every mode (Intel SDM volume 2, MOV; volume 3, section 5.6).</summary>
internal static unsafe class SegmentLoader
{
    /// <summary>Loads a segment register other than CS, with all checks.</summary>
    public static bool Load(ProcessorContext* c, int segment, ushort selector)
    {
        if (!c->Protected)
        {
            LoadUnprotected(c, segment, selector);
            return true;
        }

        return segment == SegmentRegister.Ss
            ? LoadStack(c, selector)
            : LoadData(c, segment, selector, Fault.GeneralProtectionVector);
    }

    /// <summary>Real or virtual-8086 mode: the selector is a paragraph. In real mode limit and attributes stay as they are.</summary>
    public static void LoadUnprotected(ProcessorContext* c, int segment, ushort selector)
    {
        ref SegmentCache s = ref c->Segments[segment];
        if (c->Virtual8086)
        {
            FillVirtual8086(ref s, selector);
        }
        else
        {
            s.Selector = selector;
            s.Base = (uint)selector << 4;
            if (!s.IsUsable)
            {
                s.Limit = 0xffff;
                s.Attributes = SegmentAttributes.RealMode;
            }
        }

        c->SegmentBase[segment] = s.Base;
    }

    /// <summary>What a segment register holds in virtual-8086 mode.</summary>
    public static void FillVirtual8086(ref SegmentCache s, ushort selector)
    {
        s.Selector = selector;
        s.Base = (uint)selector << 4;
        s.Limit = 0xffff;
        s.Attributes = SegmentAttributes.Virtual8086;
    }

    /// <summary>Loads DS, ES, FS or GS in protected mode. <paramref name="vector"/> is #GP, or #TS in a task switch.</summary>
    public static bool LoadData(ProcessorContext* c, int segment, ushort selector, byte vector)
    {
        if (DescriptorTables.IsNull(selector))
        {
            SetNull(c, segment, selector);
            return true;
        }

        if (!DescriptorTables.Fetch(c, selector, vector, out Descriptor d, out ulong linear))
        {
            return false;
        }

        int rpl = selector & 3;
        if (!d.IsReadable || (!d.IsConforming && (d.Dpl < rpl || d.Dpl < c->Cpl)))
        {
            return Fault.Raise(c, vector, DescriptorTables.Code(selector));
        }

        if (!d.IsPresent)
        {
            return Fault.SegmentNotPresent(c, DescriptorTables.Code(selector));
        }

        if (!DescriptorTables.SetAccessed(c, linear, d))
        {
            return false;
        }

        Fill(ref c->Segments[segment], selector, d);
        c->SegmentBase[segment] = c->CodeSize == 8 && segment < SegmentRegister.Fs ? 0 : d.Base;
        return true;
    }

    /// <summary>Reads and checks a descriptor for SS at privilege <paramref name="level"/>. <paramref name="vector"/> is #GP or #TS.</summary>
    public static bool CheckStack(ProcessorContext* c, ushort selector, int level, byte vector, out SegmentCache stack)
    {
        stack = default;
        if (DescriptorTables.IsNull(selector))
        {
            return Fault.Raise(c, vector, 0);
        }

        if (!DescriptorTables.Fetch(c, selector, vector, out Descriptor d, out ulong linear))
        {
            return false;
        }

        if ((selector & 3) != level || d.Dpl != level || !d.IsWritableData)
        {
            return Fault.Raise(c, vector, DescriptorTables.Code(selector));
        }

        if (!d.IsPresent)
        {
            return Fault.StackFault(c, DescriptorTables.Code(selector));
        }

        if (!DescriptorTables.SetAccessed(c, linear, d))
        {
            return false;
        }

        Fill(ref stack, selector, d);
        return true;
    }

    /// <summary>Copies a descriptor, now accessed, into the hidden part.</summary>
    public static void Fill(ref SegmentCache s, ushort selector, Descriptor d)
    {
        s.Selector = selector;
        s.Base = d.Base;
        s.Limit = d.Limit;
        s.Attributes = d.Attributes | 1;
    }

    /// <summary>Leaves a data segment register unusable. As on Intel processors the base becomes zero.</summary>
    public static void SetNull(ProcessorContext* c, int segment, ushort selector)
    {
        ref SegmentCache s = ref c->Segments[segment];
        s.Selector = selector;
        s.Base = 0;
        s.Limit = 0;
        s.Attributes = SegmentCache.Unusable;
        c->SegmentBase[segment] = 0;
    }

    /// <summary>SS in 64-bit mode without a descriptor.</summary>
    public static void FillNullStack(ref SegmentCache s, ushort selector)
    {
        s.Selector = selector;
        s.Base = 0;
        s.Limit = 0;
        s.Attributes = SegmentCache.Unusable | ((selector & 3u) << 5);
    }

    /// <summary>After a return to an outer level: drops the segments that the new privilege must not see.</summary>
    public static void DropInaccessible(ProcessorContext* c)
    {
        Drop(c, SegmentRegister.Es);
        Drop(c, SegmentRegister.Ds);
        Drop(c, SegmentRegister.Fs);
        Drop(c, SegmentRegister.Gs);
    }

    private static void Drop(ProcessorContext* c, int segment)
    {
        ref SegmentCache s = ref c->Segments[segment];
        if (s.IsUsable && s.Dpl < c->Cpl && (s.Attributes & 0xc) != 0xc)
        {
            // The base stays: 64-bit code goes on using that of FS or GS.
            s.Selector = 0;
            s.Attributes = SegmentCache.Unusable;
        }
    }

    private static bool LoadStack(ProcessorContext* c, ushort selector)
    {
        SegmentCache stack = default;
        if (c->CodeSize == 8 && c->Cpl < 3 && selector == c->Cpl)
        {
            FillNullStack(ref stack, selector);
        }
        else if (!CheckStack(c, selector, c->Cpl, Fault.GeneralProtectionVector, out stack))
        {
            return false;
        }

        c->Segments[SegmentRegister.Ss] = stack;
        if (c->CodeSize != 8)
        {
            c->SegmentBase[SegmentRegister.Ss] = stack.Base;
            c->StackSize = stack.IsBig ? (byte)4 : (byte)2;
        }

        return true;
    }
}
