using System.Buffers.Binary;
using Lamina.Machine.Memory;
using Lamina.Machine.Processors;

namespace Lamina.Boot.Acpi;

/// <summary>
/// What firmware does when a machine wakes from S3: it enters the operating system at the waking vector of the FACS (ACPI 6.5, section 5.2.10), in real mode at FirmwareWakingVector, or in flat
/// protected mode at XFirmwareWakingVector if that is not zero.
/// </summary>
public static class WakingVector
{
    private const int Length = 64;
    private const int VectorOffset = 12;
    private const int ExtendedVectorOffset = 24;
    private const uint RealModeEnd = 0x10_0000;
    private const ushort RealModeCode = 0x9b;
    private const ushort RealModeLimit = 0xffff;
    private const int CodeSegment = 1;

    // Reserved RAM, behind the generation identifier: the guest's own memory must stay as it is.
    private const ulong Descriptors = AcpiTables.GenerationAddress + 0x40;

    /// <summary>Sets the state of processor 0, which is that after power-on before, to the guest's waking vector. While no processor runs.</summary>
    /// <returns>Whether the guest has left one where it can be entered.</returns>
    public static bool TryEnter(GuestMemory memory, ProcessorState state)
    {
        Span<byte> table = stackalloc byte[Length];
        if (!memory.TryRead(AcpiTables.FirmwareControlAddress, table) || !table.StartsWith("FACS"u8))
        {
            return false;
        }

        uint vector = BinaryPrimitives.ReadUInt32LittleEndian(table[VectorOffset..]);
        ulong extended = BinaryPrimitives.ReadUInt64LittleEndian(table[ExtendedVectorOffset..]);
        if (extended != 0)
        {
            Span<byte> descriptors = stackalloc byte[FlatProtectedMode.TableSize];
            FlatProtectedMode.FillDescriptors(descriptors, longMode: false);
            if (extended > uint.MaxValue || !memory.TryWrite(Descriptors, descriptors))
            {
                return false;
            }

            FlatProtectedMode.SetState(state, longMode: false, extended, Descriptors);
            return true;
        }

        if (vector is 0 or >= RealModeEnd)
        {
            return false;
        }

        state.Segments[CodeSegment] = new SegmentState((ushort)(vector >> 4), vector & ~0xfu, RealModeLimit, RealModeCode);
        state.Rip = vector & 0xf;
        return true;
    }
}
