using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>GDTR and IDTR: LGDT, LIDT, SGDT, SIDT (Intel SDM volume 2).</summary>
internal static unsafe class TableRegisters
{
    /// <summary>0F 01 /0.</summary>
    public static bool StoreGlobal(ProcessorContext* c, Instruction* i) => Store(c, i, c->GdtBase, c->GdtLimit);

    /// <summary>0F 01 /1.</summary>
    public static bool StoreInterrupt(ProcessorContext* c, Instruction* i) => Store(c, i, c->IdtBase, c->IdtLimit);

    /// <summary>0F 01 /2.</summary>
    public static bool LoadGlobal(ProcessorContext* c, Instruction* i)
    {
        if (!Load(c, i, out ulong address, out ushort limit))
        {
            return false;
        }

        c->GdtBase = address;
        c->GdtLimit = limit;
        return true;
    }

    /// <summary>0F 01 /3.</summary>
    public static bool LoadInterrupt(ProcessorContext* c, Instruction* i)
    {
        if (!Load(c, i, out ulong address, out ushort limit))
        {
            return false;
        }

        c->IdtBase = address;
        c->IdtLimit = limit;
        return true;
    }

    private static bool Load(ProcessorContext* c, Instruction* i, out ulong address, out ushort limit)
    {
        address = 0;
        limit = 0;
        if (c->Cpl != 0)
        {
            return Fault.GeneralProtection(c);
        }

        bool long64 = c->CodeSize == 8;
        byte* operand = stackalloc byte[10];
        if (!GuestAccess.LoadBytes(c, i->Segment, GuestAccess.EffectiveAddress(c, i), operand, long64 ? 10 : 6, sizeof(ushort)))
        {
            return false;
        }

        limit = Unsafe.ReadUnaligned<ushort>(operand);
        if (long64)
        {
            address = Unsafe.ReadUnaligned<ulong>(operand + 2);
            return SystemMemory.IsCanonical(address) || Fault.GeneralProtection(c);
        }

        address = Unsafe.ReadUnaligned<uint>(operand + 2) & (i->OperandSize == 2 ? 0xff_ffffu : uint.MaxValue);
        return true;
    }

    private static bool Store(ProcessorContext* c, Instruction* i, ulong address, ushort limit)
    {
        if (SystemSegments.IsHidden(c))
        {
            return Fault.GeneralProtection(c);
        }

        byte* operand = stackalloc byte[10];
        Unsafe.WriteUnaligned(operand, limit);
        Unsafe.WriteUnaligned(operand + 2, address);
        return GuestAccess.StoreBytes(c, i->Segment, GuestAccess.EffectiveAddress(c, i), operand, c->CodeSize == 8 ? 10 : 6, sizeof(ushort));
    }
}
