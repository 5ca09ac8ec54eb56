using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.Scsi;

/// <summary>A SCSI target with its logical units, which are disks.</summary>
internal sealed class ScsiTarget(GuestMemory memory, ReadOnlyMemory<ScsiDisk?> units)
{
    /// <summary>Most logical units.</summary>
    internal const int MaximumUnits = 64;

    private const byte NoSuchUnit = 0x7f;
    private const int InquiryLength = 36;

    /// <summary>The disks by their logical unit number; null where there is none.</summary>
    internal ReadOnlySpan<ScsiDisk?> Units => units.Span;

    /// <summary>Begins a command. Any thread, several at once.</summary>
    /// <returns><c>true</c> if it has ended already.</returns>
    internal bool Submit(ScsiRequest request, uint unit)
    {
        ScsiOperation operation = (ScsiOperation)request.Command[0];
        if (operation == ScsiOperation.ReportLuns)
        {
            ReportUnits(request);
            return true;
        }

        if (unit < (uint)Units.Length && Units[(int)unit] is { } disk)
        {
            return disk.Submit(request);
        }

        if (operation == ScsiOperation.Inquiry)
        {
            Span<byte> answer = stackalloc byte[InquiryLength];
            answer.Clear();
            answer[0] = NoSuchUnit;
            answer[4] = InquiryLength - 5;
            Answer(memory, request, answer, BinaryPrimitives.ReadUInt16BigEndian(request.Command[3..]));
        }
        else
        {
            request.Fail(SenseCode.NoSuchUnit);
        }

        return true;
    }

    /// <summary>Waits until every command has ended. Not with a lock held that completions take.</summary>
    internal void Drain()
    {
        foreach (ScsiDisk? disk in Units)
        {
            disk?.Drain();
        }
    }

    /// <summary>Ends a command with data, of which the guest gets as much as it asked for.</summary>
    internal static void Answer(GuestMemory memory, ScsiRequest request, ReadOnlySpan<byte> data, uint allocationLength)
    {
        int length = (int)Math.Min((uint)data.Length, allocationLength);
        request.Succeed((ulong)GuestBuffers.Write(memory, request.Data, 0, data[..length]));
    }

    private void ReportUnits(ScsiRequest request)
    {
        const int Header = 8;
        const int Entry = 8;
        Span<byte> answer = stackalloc byte[Header + (MaximumUnits * Entry)];
        answer.Clear();
        int length = 0;
        for (int i = 0; i < Units.Length; i++)
        {
            if (Units[i] is not null)
            {
                answer[Header + length + 1] = (byte)i;
                length += Entry;
            }
        }

        BinaryPrimitives.WriteInt32BigEndian(answer, length);
        Answer(memory, request, answer[..(Header + length)], BinaryPrimitives.ReadUInt32BigEndian(request.Command[6..]));
    }
}
