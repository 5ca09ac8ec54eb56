using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.Scsi;

/// <summary>
/// A direct-access block device (SPC-4, SBC-3) over a back end, with blocks of 512 bytes. A command is copied before it comes here; what it says wrong is a check condition.
/// </summary>
internal sealed class ScsiDisk
{
    private const uint BlockLength = 512;
    private const int BlockShift = 9;
    private const byte ReadCapacity16 = 0x10;

    private readonly GuestMemory _memory;
    private readonly IBlockBackend _backend;
    private readonly ScsiDiskPages _pages;

    /// <summary>Makes one.</summary>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="backend">The content.</param>
    /// <param name="serial">Serial number in ASCII, at most <see cref="ScsiDiskPages.SerialLength"/> bytes.</param>
    internal ScsiDisk(GuestMemory memory, IBlockBackend backend, ReadOnlySpan<byte> serial)
    {
        _memory = memory;
        _backend = backend;
        _pages = new ScsiDiskPages(backend, serial);
    }

    private ulong BlockCount => _backend.Length >> BlockShift;

    /// <summary>Waits until every command has ended.</summary>
    internal void Drain() => _backend.Drain();

    /// <summary>Begins a command.</summary>
    /// <returns><c>true</c> if it has ended already.</returns>
    internal bool Submit(ScsiRequest request)
    {
        Span<byte> command = request.Command;
        switch ((ScsiOperation)command[0])
        {
            case ScsiOperation.TestUnitReady or ScsiOperation.StartStopUnit or ScsiOperation.PreventAllowMediumRemoval:
                return true;
            case ScsiOperation.RequestSense:
                return RequestSense(request);
            case ScsiOperation.Inquiry:
                return Inquiry(request);
            case ScsiOperation.ModeSense6:
                return ModeSense(request, isLong: false, command[4]);
            case ScsiOperation.ModeSense10:
                return ModeSense(request, isLong: true, BinaryPrimitives.ReadUInt16BigEndian(command[7..]));
            case ScsiOperation.ReadCapacity10:
                return ReadCapacity(request);
            case ScsiOperation.ServiceActionIn16 when (command[1] & 0x1f) == ReadCapacity16:
                return ReadLongCapacity(request);
            case ScsiOperation.Read6 or ScsiOperation.Write6:
                // No blocks are 256.
                uint address6 = BinaryPrimitives.ReadUInt32BigEndian(command) & 0x1f_ffff;
                return Transfer(request, address6, command[4] == 0 ? 256u : command[4], writes: command[0] == (byte)ScsiOperation.Write6, flags: 0);
            case ScsiOperation.Read10 or ScsiOperation.Write10:
                return Transfer(
                    request, Address32(command), BinaryPrimitives.ReadUInt16BigEndian(command[7..]), command[0] == (byte)ScsiOperation.Write10, command[1]);
            case ScsiOperation.Read12 or ScsiOperation.Write12:
                return Transfer(
                    request, Address32(command), BinaryPrimitives.ReadUInt32BigEndian(command[6..]), command[0] == (byte)ScsiOperation.Write12, command[1]);
            case ScsiOperation.Read16 or ScsiOperation.Write16:
                return Transfer(
                    request, Address64(command), BinaryPrimitives.ReadUInt32BigEndian(command[10..]), command[0] == (byte)ScsiOperation.Write16, command[1]);
            case ScsiOperation.Verify10:
                return Verify(request, Address32(command), BinaryPrimitives.ReadUInt16BigEndian(command[7..]));
            case ScsiOperation.Verify16:
                return Verify(request, Address64(command), BinaryPrimitives.ReadUInt32BigEndian(command[10..]));
            case ScsiOperation.SynchronizeCache10 or ScsiOperation.SynchronizeCache16:
                request.Block.Operation = BlockOperation.Flush;
                return Begin(request);
            case ScsiOperation.WriteSame10:
                return WriteSame(request, Address32(command), BinaryPrimitives.ReadUInt16BigEndian(command[7..]), isLong: false);
            case ScsiOperation.WriteSame16:
                return WriteSame(request, Address64(command), BinaryPrimitives.ReadUInt32BigEndian(command[10..]), isLong: true);
            case ScsiOperation.Unmap:
                return Unmap(request);
            default:
                return Refuse(request, SenseCode.InvalidOperation);
        }
    }

    private static uint Address32(ReadOnlySpan<byte> command) => BinaryPrimitives.ReadUInt32BigEndian(command[2..]);

    private static ulong Address64(ReadOnlySpan<byte> command) => BinaryPrimitives.ReadUInt64BigEndian(command[2..]);

    private static bool Refuse(ScsiRequest request, SenseCode sense)
    {
        request.Fail(sense);
        return true;
    }

    private bool Begin(ScsiRequest request)
    {
        if (!_backend.Submit(request.Block))
        {
            return false;
        }

        request.FinishBlock();
        return true;
    }

    // There never is any: errors are told with the command they belong to.
    private bool RequestSense(ScsiRequest request)
    {
        Span<byte> answer = stackalloc byte[SenseCode.Length];
        SenseCode.None.Write(answer);
        ScsiTarget.Answer(_memory, request, answer, request.Command[4]);
        return true;
    }

    private bool Inquiry(ScsiRequest request)
    {
        Span<byte> answer = stackalloc byte[ScsiDiskPages.MaximumInquiryLength];
        answer.Clear();
        bool vital = (request.Command[1] & 1) != 0;
        int length = vital ? _pages.WriteVitalData(request.Command[2], answer) : request.Command[2] == 0 ? ScsiDiskPages.WriteInquiry(answer) : 0;
        if (length == 0)
        {
            return Refuse(request, SenseCode.InvalidField);
        }

        ScsiTarget.Answer(_memory, request, answer[..length], BinaryPrimitives.ReadUInt16BigEndian(request.Command[3..]));
        return true;
    }

    private bool ModeSense(ScsiRequest request, bool isLong, uint allocationLength)
    {
        const byte SavedValues = 3;
        Span<byte> answer = stackalloc byte[ScsiDiskPages.MaximumModeLength];
        answer.Clear();
        byte control = (byte)(request.Command[2] >> 6);
        int length = control == SavedValues ? 0 : _pages.WriteModePages((byte)(request.Command[2] & 0x3f), isLong, changeable: control == 1, answer);
        if (length == 0)
        {
            return Refuse(request, SenseCode.InvalidField);
        }

        ScsiTarget.Answer(_memory, request, answer[..length], allocationLength);
        return true;
    }

    private bool ReadCapacity(ScsiRequest request)
    {
        Span<byte> answer = stackalloc byte[8];
        BinaryPrimitives.WriteUInt32BigEndian(answer, (uint)Math.Min(BlockCount - 1, uint.MaxValue));
        BinaryPrimitives.WriteUInt32BigEndian(answer[4..], BlockLength);
        ScsiTarget.Answer(_memory, request, answer, (uint)answer.Length);
        return true;
    }

    private bool ReadLongCapacity(ScsiRequest request)
    {
        Span<byte> answer = stackalloc byte[32];
        answer.Clear();
        BinaryPrimitives.WriteUInt64BigEndian(answer, BlockCount - 1);
        BinaryPrimitives.WriteUInt32BigEndian(answer[8..], BlockLength);
        answer[13] = (byte)uint.Log2(_backend.PreferredBlock / BlockLength);
        answer[14] = _backend.CanDiscard && !_backend.IsReadOnly ? (byte)0x80 : (byte)0;
        ScsiTarget.Answer(_memory, request, answer, BinaryPrimitives.ReadUInt32BigEndian(request.Command[10..]));
        return true;
    }

    private bool Transfer(ScsiRequest request, ulong address, uint count, bool writes, byte flags)
    {
        // Protection information there is none, and mode sense says that writes cannot be forced to the medium.
        const byte ProtectionBits = 0xe0;
        const byte ForceUnitAccess = 0x08;
        if ((flags & (ProtectionBits | (writes ? ForceUnitAccess : 0))) != 0)
        {
            return Refuse(request, SenseCode.InvalidField);
        }

        if (!IsInside(address, count))
        {
            return Refuse(request, SenseCode.AddressOutOfRange);
        }

        if (writes && _backend.IsReadOnly)
        {
            return Refuse(request, SenseCode.WriteProtected);
        }

        if (count == 0)
        {
            return true;
        }

        request.Block.Operation = writes ? BlockOperation.Write : BlockOperation.Read;
        request.Block.Offset = address << BlockShift;
        return request.TryUseData((ulong)count << BlockShift) ? Begin(request) : Refuse(request, SenseCode.InvalidField);
    }

    // Without a comparison there is nothing to find: what cannot be read is told when it is read.
    private bool Verify(ScsiRequest request, ulong address, uint count)
    {
        return (request.Command[1] & 0x06) != 0 ? Refuse(request, SenseCode.InvalidField)
            : IsInside(address, count) || Refuse(request, SenseCode.AddressOutOfRange);
    }

    // Blocks of zeroes, or without data, are the back end's to write, or to unmap; others are written from the guest's block.
    private bool WriteSame(ScsiRequest request, ulong address, uint count, bool isLong)
    {
        const byte NoData = 0x01;
        const byte UnmapBit = 0x08;
        byte flags = request.Command[1];
        byte known = (byte)((isLong ? NoData : 0) | (_backend.CanDiscard ? UnmapBit : 0));
        Span<byte> block = stackalloc byte[(int)BlockLength];
        block.Clear();
        bool whole = (flags & NoData) != 0 || GuestBuffers.Read(_memory, request.Data, 0, block) == (int)BlockLength;
        bool zeroes = !block.ContainsAnyExcept((byte)0);
        uint most = zeroes ? ScsiDiskPages.MaximumRange : ScsiDiskPages.MaximumSame;
        if ((flags & ~known) != 0 || !whole || count > most)
        {
            return Refuse(request, SenseCode.InvalidField);
        }

        // No blocks are all that follow (WSNZ is zero).
        ulong all = count == 0 && address < BlockCount ? BlockCount - address : count;
        if (!IsInside(address, all))
        {
            return Refuse(request, SenseCode.AddressOutOfRange);
        }

        if (_backend.IsReadOnly)
        {
            return Refuse(request, SenseCode.WriteProtected);
        }

        if (all > most)
        {
            return Refuse(request, SenseCode.InvalidField);
        }

        if (!zeroes)
        {
            return request.SubmitRepeated(_backend, address << BlockShift, BlockLength, all);
        }

        request.Block.MayDiscard = (flags & UnmapBit) != 0;
        return BeginRange(request, BlockOperation.WriteZeroes, address, all);
    }

    private bool Unmap(ScsiRequest request)
    {
        const int Header = 8;
        const int Descriptor = 16;
        Span<byte> list = stackalloc byte[Header + Descriptor];
        uint length = BinaryPrimitives.ReadUInt16BigEndian(request.Command[7..]);
        if (!_backend.CanDiscard)
        {
            return Refuse(request, SenseCode.InvalidOperation);
        }

        if (_backend.IsReadOnly)
        {
            return Refuse(request, SenseCode.WriteProtected);
        }

        if (length < Header)
        {
            return length == 0 || Refuse(request, SenseCode.ParameterListLength);
        }

        list.Clear();
        int read = GuestBuffers.Read(_memory, request.Data, 0, list[..(int)Math.Min(length, (uint)list.Length)]);
        uint descriptors = BinaryPrimitives.ReadUInt16BigEndian(list[2..]) / (uint)Descriptor;
        if (descriptors == 0)
        {
            return true;
        }

        ulong address = BinaryPrimitives.ReadUInt64BigEndian(list[Header..]);
        uint count = BinaryPrimitives.ReadUInt32BigEndian(list[(Header + 8)..]);
        return read < list.Length || descriptors > 1 || count > ScsiDiskPages.MaximumRange ? Refuse(request, SenseCode.InvalidParameter)
            : !IsInside(address, count) ? Refuse(request, SenseCode.AddressOutOfRange)
            : count == 0 || BeginRange(request, BlockOperation.Discard, address, count);
    }

    private bool BeginRange(ScsiRequest request, BlockOperation operation, ulong address, ulong count)
    {
        request.Block.Operation = operation;
        request.Block.Offset = address << BlockShift;
        request.Block.Length = count << BlockShift;
        return Begin(request);
    }

    private bool IsInside(ulong address, ulong count) => address <= BlockCount && count <= BlockCount - address;
}
