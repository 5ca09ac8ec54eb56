using System.Buffers.Binary;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.VMware.Pvscsi;

/// <summary>The command register with its data, which come in words of 32 bits, and the status that a driver reads after a command.</summary>
internal sealed class PvscsiCommands(GuestMemory memory)
{
    private const uint Failed = uint.MaxValue;
    private const int SetupRingsWords = 4 + (4 * PvscsiRings.MaximumPages);
    private const uint ControllerPage = 0x1958;
    private const ulong ControllerAddress = 0x2120UL << 32;
    private const int ControllerPageLength = 480;
    private const int PhysicalCountOffset = 472;

    private readonly uint[] _data = new uint[SetupRingsWords];
    private uint _command;
    private int _count;
    private int _expected = -1;
    private uint _status;

    /// <summary>The status of the last command.</summary>
    internal uint Status => _status;

    /// <summary>The command's data.</summary>
    internal ReadOnlySpan<uint> Data => _data;

    internal void Reset()
    {
        _command = 0;
        _count = 0;
        _expected = -1;
        _status = 0;
    }

    /// <summary>A command begins.</summary>
    internal void Begin(uint command)
    {
        _command = command;
        _count = 0;
        _expected = (PvscsiCommand)command switch
        {
            PvscsiCommand.AdapterReset or PvscsiCommand.ResetBus => 0,
            PvscsiCommand.SetupRings => SetupRingsWords,
            PvscsiCommand.ResetDevice => 3,
            PvscsiCommand.AbortCommand => 4,
            PvscsiCommand.Config => 6,
            PvscsiCommand.SetupMessageRing => PvscsiMessages.SetupWords,
            _ => -1,
        };

        // A driver finds out by the status whether a command exists.
        _status = _expected < 0 ? Failed : 0;
    }

    /// <summary>A word of data.</summary>
    internal void Add(uint value)
    {
        if (_count < _expected)
        {
            _data[_count++] = value;
        }
    }

    /// <summary>Takes the command when its data is complete.</summary>
    internal bool TryTake(out PvscsiCommand command)
    {
        command = (PvscsiCommand)_command;
        if (_expected < 0 || _count != _expected)
        {
            return false;
        }

        _expected = -1;
        _count = 0;
        return true;
    }

    /// <summary>The command has failed.</summary>
    internal void Fail() => _status = Failed;

    /// <summary>Writes the configuration page that was asked for (struct PVSCSIConfigPageController). A page that does not exist is left as the driver made it.</summary>
    internal void WriteConfiguration(uint targetCount)
    {
        ulong destination = _data[0] | ((ulong)_data[1] << 32);
        ulong address = _data[2] | ((ulong)_data[3] << 32);
        if (_data[4] != ControllerPage || address != ControllerAddress)
        {
            Fail();
            return;
        }

        Span<byte> page = stackalloc byte[ControllerPageLength];
        page.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(page, ControllerPage);
        BinaryPrimitives.WriteUInt16LittleEndian(page[4..], ControllerPageLength / 4);
        BinaryPrimitives.WriteUInt32LittleEndian(page[PhysicalCountOffset..], targetCount);
        memory.TryWrite(destination, page);
    }

    internal void Save(IStateWriter state, ushort field)
    {
        Span<byte> data = stackalloc byte[SetupRingsWords * 4];
        for (int i = 0; i < _data.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(data[(i * 4)..], _data[i]);
        }

        state.Write(field, data);
        state.Write((ushort)(field + 1), (ulong)_command);
        state.Write((ushort)(field + 2), (ulong)_count);
        state.Write((ushort)(field + 3), (ulong)(_expected + 1));
        state.Write((ushort)(field + 4), (ulong)_status);
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        Span<byte> data = stackalloc byte[SetupRingsWords * 4];
        uint count = 0;
        uint expected = 0;
        bool valid = state.TryTake(field, data) & state.TryTake((ushort)(field + 1), ref _command) & state.TryTake((ushort)(field + 2), ref count)
            & state.TryTake((ushort)(field + 3), ref expected) & state.TryTake((ushort)(field + 4), ref _status);
        for (int i = 0; i < _data.Length; i++)
        {
            _data[i] = BinaryPrimitives.ReadUInt32LittleEndian(data[(i * 4)..]);
        }

        // Only so many words as the command takes.
        uint status = _status;
        Begin(_command);
        bool possible = expected == 0 || expected == (uint)(_expected + 1);
        _expected = (int)Math.Min(expected, SetupRingsWords + 1) - 1;
        _count = (int)Math.Min(count, SetupRingsWords);
        _status = status;
        return valid && possible && count <= SetupRingsWords && _count <= Math.Max(_expected, 0);
    }
}
