using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>LAR, LSL, VERR, VERW and ARPL: they answer in ZF and fault only on their operands (Intel SDM volume 2).</summary>
internal static unsafe class DescriptorQueries
{
    private const uint AccessRightsMask = 0x00ff_ff00;

    // System types that the instruction knows, one bit each.
    private const uint AccessRightsTypes = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9 | 1 << 11 | 1 << 12;
    private const uint AccessRightsTypesLong = 1 << 2 | 1 << 9 | 1 << 11 | 1 << 12;
    private const uint LimitTypes = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 9 | 1 << 11;
    private const uint LimitTypesLong = 1 << 2 | 1 << 9 | 1 << 11;

    /// <summary>0F 02.</summary>
    public static bool LoadAccessRights(ProcessorContext* c, Instruction* i)
    {
        if (!Visible(c, i, c->LongMode ? AccessRightsTypesLong : AccessRightsTypes, out Descriptor d, out bool visible))
        {
            return false;
        }

        if (visible)
        {
            GeneralRegister.Write(c, i->Reg, (uint)(d.Value >> 32) & AccessRightsMask, i->OperandSize);
        }

        SetZero(c, visible);
        return true;
    }

    /// <summary>0F 03.</summary>
    public static bool LoadLimit(ProcessorContext* c, Instruction* i)
    {
        if (!Visible(c, i, c->LongMode ? LimitTypesLong : LimitTypes, out Descriptor d, out bool visible))
        {
            return false;
        }

        if (visible)
        {
            GeneralRegister.Write(c, i->Reg, d.Limit, i->OperandSize);
        }

        SetZero(c, visible);
        return true;
    }

    /// <summary>0F 00 /4.</summary>
    public static bool VerifyRead(ProcessorContext* c, Instruction* i)
    {
        if (!Visible(c, i, 0, out Descriptor d, out bool visible))
        {
            return false;
        }

        SetZero(c, visible && d.IsReadable);
        return true;
    }

    /// <summary>0F 00 /5.</summary>
    public static bool VerifyWrite(ProcessorContext* c, Instruction* i)
    {
        if (!Visible(c, i, 0, out Descriptor d, out bool visible))
        {
            return false;
        }

        SetZero(c, visible && d.IsWritableData);
        return true;
    }

    /// <summary>63 outside 64-bit mode.</summary>
    public static bool AdjustPrivilege(ProcessorContext* c, Instruction* i)
    {
        if (!c->Protected)
        {
            return Fault.InvalidOpcode(c);
        }

        int wanted = (int)c->Registers[i->Reg] & 3;
        if (!i->IsMemory)
        {
            ushort value = (ushort)c->Registers[i->Rm];
            bool raise = (value & 3) < wanted;
            if (raise)
            {
                GeneralRegister.Write(c, i->Rm, (ulong)((value & ~3) | wanted), 2);
            }

            SetZero(c, raise);
            return true;
        }

        if (!GuestAccess.Load(c, i, out ushort destination))
        {
            return false;
        }

        bool adjust = (destination & 3) < wanted;
        if (adjust && !GuestAccess.Store(c, i, (ushort)((destination & ~3) | wanted)))
        {
            return false;
        }

        SetZero(c, adjust);
        return true;
    }

    // Reads the selector and its descriptor, and asks whether CPL and RPL may see it. False only for a fault.
    private static bool Visible(ProcessorContext* c, Instruction* i, uint systemTypes, out Descriptor d, out bool visible)
    {
        d = default;
        visible = false;
        if (!c->Protected)
        {
            return Fault.InvalidOpcode(c);
        }

        ushort selector = (ushort)c->Registers[i->Rm];
        if (i->IsMemory && !GuestAccess.Load(c, i, out selector))
        {
            return false;
        }

        if (DescriptorTables.IsNull(selector) || !DescriptorTables.Locate(c, selector, 8, out ulong linear))
        {
            return true;
        }

        if (!SystemMemory.Load(c, linear, out ulong value))
        {
            return false;
        }

        d = new Descriptor(value);
        bool known = d.IsSegment || ((systemTypes >> (int)d.Type) & 1) != 0;
        visible = known && (d.IsConforming || (d.Dpl >= c->Cpl && d.Dpl >= (selector & 3)));
        return true;
    }

    private static void SetZero(ProcessorContext* c, bool set)
    {
        uint status = Flags.GetStatus(c);
        Flags.SetStatus(c, set ? status | Flags.Zero : status & ~Flags.Zero);
    }
}
