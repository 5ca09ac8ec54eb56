using System.Buffers.Binary;
using System.Globalization;
using Lamina.Machine.Devices;
using Lamina.Machine.Processors;

namespace Lamina.Vmm.Snapshots;

/// <summary>A processor's architectural state as saved fields. What an older version did not write is as after power-on.</summary>
internal static class ProcessorRecord
{
    private const ushort Flags = 13;
    private const ushort GeneralRegisters = 0x10;
    private const ushort DebugRegisters = 0x30;
    private const ushort Segments = 0x40;
    private const ushort XsaveArea = 0x80;
    private const ushort Msrs = 0x81;
    private const int MsrLength = sizeof(uint) + sizeof(ulong);
    private const int MaximumMsrs = 4096;

    /// <summary>Name of a processor's record.</summary>
    internal static string GetName(int index) => string.Create(CultureInfo.InvariantCulture, $"cpu{index}");

    /// <summary>Writes a state.</summary>
    internal static void Save(ProcessorState state, StateRecord record)
    {
        ulong[] registers = [state.Rip, state.Rflags, state.GdtBase, state.GdtLimit, state.IdtBase, state.IdtLimit, state.Cr0, state.Cr2, state.Cr3, state.Cr4, state.Cr8, state.Xcr0];
        for (int i = 0; i < registers.Length; i++)
        {
            record.Write((ushort)(i + 1), registers[i]);
        }

        bool[] flags = [state.Halted, state.WaitingForStartUp, state.InterruptShadow, state.NonMaskablePending, state.NonMaskableBlocked, state.StandsStill];
        record.Write(Flags, flags.Select(static (set, bit) => set ? 1UL << bit : 0).Aggregate(0UL, static (all, bit) => all | bit));
        WriteAll(record, GeneralRegisters, state.GeneralRegisters);
        WriteAll(record, DebugRegisters, state.DebugRegisters);
        SegmentState[] segments = [.. state.Segments, state.LocalDescriptorTable, state.TaskRegister];
        WriteAll(record, Segments, [.. segments.SelectMany(static s => new ulong[] { s.Selector, s.Base, s.Limit, s.Attributes })]);
        record.Write(XsaveArea, state.XsaveArea);
        byte[] msrs = new byte[state.Msrs.Count * MsrLength];
        for (int i = 0; i < state.Msrs.Count; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(msrs.AsSpan(i * MsrLength), state.Msrs[i].Index);
            BinaryPrimitives.WriteUInt64LittleEndian(msrs.AsSpan((i * MsrLength) + sizeof(uint)), state.Msrs[i].Value);
        }

        record.Write(Msrs, msrs);
    }

    /// <summary>Reads a state.</summary>
    /// <returns>It; null if the fields cannot be one.</returns>
    internal static ProcessorState? Restore(StateRecord record)
    {
        ulong[] registers = new ulong[12];
        ulong[] segments = new ulong[8 * 4];
        ProcessorState state = new();
        byte[]? msrs = record.Find(Msrs);
        bool valid = TryReadAll(record, 1, registers)
            & record.TryRead(Flags, out ulong flags)
            & TryReadAll(record, GeneralRegisters, state.GeneralRegisters)
            & TryReadAll(record, DebugRegisters, state.DebugRegisters)
            & TryReadAll(record, Segments, segments)
            & record.TryTake(XsaveArea, state.XsaveArea);
        if (!valid || registers[3] > ushort.MaxValue || registers[5] > ushort.MaxValue || msrs == null || msrs.Length % MsrLength != 0 || msrs.Length / MsrLength > MaximumMsrs)
        {
            return null;
        }

        (state.Rip, state.Rflags, state.GdtBase, state.GdtLimit, state.IdtBase, state.IdtLimit) =
            (registers[0], registers[1], registers[2], (ushort)registers[3], registers[4], (ushort)registers[5]);
        (state.Cr0, state.Cr2, state.Cr3, state.Cr4, state.Cr8, state.Xcr0) = (registers[6], registers[7], registers[8], registers[9], registers[10], registers[11]);
        (state.Halted, state.WaitingForStartUp, state.InterruptShadow, state.NonMaskablePending, state.NonMaskableBlocked) =
            ((flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0, (flags & 8) != 0, (flags & 16) != 0);
        state.StandsStill = (flags & 32) != 0;
        for (int i = 0; i < 8; i++)
        {
            ReadOnlySpan<ulong> s = segments.AsSpan(4 * i, 4);
            if (s[0] > ushort.MaxValue || s[2] > uint.MaxValue || s[3] > uint.MaxValue)
            {
                return null;
            }

            SegmentState segment = new((ushort)s[0], s[1], (uint)s[2], (uint)s[3]);
            switch (i)
            {
                case 6: state.LocalDescriptorTable = segment; break;
                case 7: state.TaskRegister = segment; break;
                default: state.Segments[i] = segment; break;
            }
        }

        for (int at = 0; at < msrs.Length; at += MsrLength)
        {
            state.Msrs.Add(new MsrValue(BinaryPrimitives.ReadUInt32LittleEndian(msrs.AsSpan(at)), BinaryPrimitives.ReadUInt64LittleEndian(msrs.AsSpan(at + sizeof(uint)))));
        }

        return state;
    }

    private static void WriteAll(StateRecord record, ushort first, ulong[] values)
    {
        for (int i = 0; i < values.Length; i++)
        {
            record.Write((ushort)(first + i), values[i]);
        }
    }

    private static bool TryReadAll(StateRecord record, ushort first, ulong[] values)
    {
        bool all = true;
        for (int i = 0; i < values.Length; i++)
        {
            all &= record.TryRead((ushort)(first + i), out values[i]);
        }

        return all;
    }
}
