using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>LDTR and TR: LLDT, LTR, SLDT, STR (Intel SDM volume 2).</summary>
internal static unsafe class SystemSegments
{
    private const ulong Cr4Umip = 1 << 11;

    /// <summary>0F 00 /0.</summary>
    public static bool StoreLocalTable(ProcessorContext* c, Instruction* i) => Store(c, i, c->LocalDescriptorTable.Selector);

    /// <summary>0F 00 /1.</summary>
    public static bool StoreTask(ProcessorContext* c, Instruction* i) => Store(c, i, c->TaskRegister.Selector);

    /// <summary>0F 00 /2.</summary>
    public static bool LoadLocalTable(ProcessorContext* c, Instruction* i)
    {
        if (!BeginLoad(c, i, out ushort selector))
        {
            return false;
        }

        if (DescriptorTables.IsNull(selector))
        {
            c->LocalDescriptorTable = new SegmentCache { Selector = selector, Attributes = SegmentCache.Unusable };
            return true;
        }

        if (!Fetch(c, selector, out Descriptor d, out _, out ulong baseAddress))
        {
            return false;
        }

        if (d.SystemType != DescriptorType.LocalTable)
        {
            return Fault.GeneralProtection(c, DescriptorTables.Code(selector));
        }

        if (!d.IsPresent)
        {
            return Fault.SegmentNotPresent(c, DescriptorTables.Code(selector));
        }

        Fill(ref c->LocalDescriptorTable, selector, d, baseAddress);
        return true;
    }

    /// <summary>0F 00 /3.</summary>
    public static bool LoadTask(ProcessorContext* c, Instruction* i)
    {
        if (!BeginLoad(c, i, out ushort selector))
        {
            return false;
        }

        if (DescriptorTables.IsNull(selector))
        {
            return Fault.GeneralProtection(c);
        }

        if (!Fetch(c, selector, out Descriptor d, out ulong linear, out ulong baseAddress))
        {
            return false;
        }

        bool known = d.SystemType == DescriptorType.TaskState || (d.SystemType == DescriptorType.TaskState16 && !c->LongMode);
        if (!known)
        {
            return Fault.GeneralProtection(c, DescriptorTables.Code(selector));
        }

        if (!d.IsPresent)
        {
            return Fault.SegmentNotPresent(c, DescriptorTables.Code(selector));
        }

        if (!DescriptorTables.SetBusy(c, linear))
        {
            return false;
        }

        Fill(ref c->TaskRegister, selector, d, baseAddress);
        c->TaskRegister.Attributes |= DescriptorType.Busy;
        return true;
    }

    /// <summary>Copies a system descriptor into the hidden part.</summary>
    public static void Fill(ref SegmentCache s, ushort selector, Descriptor d, ulong baseAddress)
    {
        s.Selector = selector;
        s.Base = baseAddress;
        s.Limit = d.Limit;
        s.Attributes = d.Attributes;
    }

    /// <summary>CR4.UMIP keeps programs from reading system registers.</summary>
    public static bool IsHidden(ProcessorContext* c) => c->Cpl > 0 && (c->Cr4 & Cr4Umip) != 0;

    private static bool BeginLoad(ProcessorContext* c, Instruction* i, out ushort selector)
    {
        selector = 0;
        if (!c->Protected)
        {
            return Fault.InvalidOpcode(c);
        }

        if (c->Cpl != 0)
        {
            return Fault.GeneralProtection(c);
        }

        if (i->IsMemory)
        {
            return GuestAccess.Load(c, i, out selector);
        }

        selector = (ushort)c->Registers[i->Rm];
        return true;
    }

    // From the GDT only; 16 bytes in long mode.
    private static bool Fetch(ProcessorContext* c, ushort selector, out Descriptor d, out ulong linear, out ulong baseAddress)
    {
        baseAddress = 0;
        if ((selector & 4) != 0)
        {
            d = default;
            linear = 0;
            return Fault.GeneralProtection(c, DescriptorTables.Code(selector));
        }

        if (!DescriptorTables.Fetch(c, selector, Fault.GeneralProtectionVector, out d, out linear))
        {
            return false;
        }

        baseAddress = d.Base;
        if (!c->LongMode)
        {
            return true;
        }

        if (!DescriptorTables.FetchUpper(c, selector, Fault.GeneralProtectionVector, out uint upper))
        {
            return false;
        }

        baseAddress |= (ulong)upper << 32;
        return SystemMemory.IsCanonical(baseAddress) || Fault.GeneralProtection(c, DescriptorTables.Code(selector));
    }

    private static bool Store(ProcessorContext* c, Instruction* i, ushort selector)
    {
        if (!c->Protected)
        {
            return Fault.InvalidOpcode(c);
        }

        if (IsHidden(c))
        {
            return Fault.GeneralProtection(c);
        }

        if (i->IsMemory)
        {
            return GuestAccess.Store(c, i, selector);
        }

        GeneralRegister.Write(c, i->Rm, selector, i->OperandSize);
        return true;
    }
}
