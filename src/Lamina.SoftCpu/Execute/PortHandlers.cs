using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Personalities;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Segmentation;

namespace Lamina.SoftCpu.Execute;

/// <summary>IN and OUT.</summary>
internal static unsafe class PortHandlers
{
    public static bool InImmediate<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth => In<TWidth>(c, (byte)i->Immediate);

    public static bool InDx<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth => In<TWidth>(c, (ushort)c->Registers[2]);

    public static bool OutImmediate<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth => Out<TWidth>(c, i, (byte)i->Immediate);

    public static bool OutDx<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth => Out<TWidth>(c, i, (ushort)c->Registers[2]);

    /// <summary>I/O privilege (Intel SDM volume 1, section 19.5).</summary>
    public static bool Permitted(ProcessorContext* c, ushort port, int size)
    {
        return !(c->Protected || c->Virtual8086) || IsOfPersonality(c, port)
            || (!c->Virtual8086 && c->Cpl <= (c->SystemFlags & Flags.IoPrivilege) >> 12)
            || IoPermission.Check(c, port, size);
    }

    /// <summary>Reads a port. A device that does not know the width is read byte by byte, as on a bus.</summary>
    public static ulong Read<TWidth>(ProcessorContext* c, ushort port)
        where TWidth : struct, IWidth
    {
        AddressSpace ports = SoftwareProcessor.Of(c).Partition.Settings.Ports;
        ulong value = 0;
        if (IsOfPersonality(c, port))
        {
            SoftwareProcessor p = SoftwareProcessor.Of(c);
            p.Partition.Personality!.ReadPort(p.CreateCall(), port, new Span<byte>(&value, TWidth.Bytes));
            return value;
        }

        if (ports.Read(port, new Span<byte>(&value, TWidth.Bytes)) == AccessResult.BadWidth)
        {
            for (int n = 0; n < TWidth.Bytes; n++)
            {
                ports.Read((ushort)(port + n), new Span<byte>((byte*)&value + n, 1));
            }
        }

        DebugUnit.PortAccess(c, port, TWidth.Bytes);
        return value;
    }

    /// <summary>Writes a port.</summary>
    public static void Write<TWidth>(ProcessorContext* c, ushort port, ulong value)
        where TWidth : struct, IWidth
    {
        if (IsOfPersonality(c, port))
        {
            SoftwareProcessor p = SoftwareProcessor.Of(c);
            p.Partition.Personality!.WritePort(p.CreateCall(), port, new ReadOnlySpan<byte>(&value, TWidth.Bytes));
            return;
        }

        AddressSpace ports = SoftwareProcessor.Of(c).Partition.Settings.Ports;
        if (ports.Write(port, new ReadOnlySpan<byte>(&value, TWidth.Bytes)) == AccessResult.BadWidth)
        {
            for (int n = 0; n < TWidth.Bytes; n++)
            {
                ports.Write((ushort)(port + n), new ReadOnlySpan<byte>((byte*)&value + n, 1));
            }
        }

        DebugUnit.PortAccess(c, port, TWidth.Bytes);
    }

    private static bool IsOfPersonality(ProcessorContext* c, ushort port)
    {
        return SoftwareProcessor.Of(c).Partition.Personality is { } personality && (uint)(port - personality.FirstPort) < (uint)personality.PortCount;
    }

    private static bool In<TWidth>(ProcessorContext* c, ushort port)
        where TWidth : struct, IWidth
    {
        if (!Permitted(c, port, TWidth.Bytes))
        {
            return false;
        }

        TWidth.Set(c, 0, Read<TWidth>(c, port));
        return true;
    }

    // Ends its block: a device that stops the machine (sleep, reset, power off) stops it before the next instruction.
    private static bool Out<TWidth>(ProcessorContext* c, Instruction* i, ushort port)
        where TWidth : struct, IWidth
    {
        if (!Permitted(c, port, TWidth.Bytes))
        {
            return false;
        }

        if (port == HypercallPort.Number && TWidth.Bytes == 1 && SoftwareProcessor.Of(c).Partition.Personality is { HasHypercallPage: true }
            && ProcessorHandlers.TryHypercall(c, i, byInstruction: false))
        {
            return true;
        }

        Write<TWidth>(c, port, TWidth.Get(c, 0));
        c->Rip = BranchHandlers.Next(c, i);
        return true;
    }
}
