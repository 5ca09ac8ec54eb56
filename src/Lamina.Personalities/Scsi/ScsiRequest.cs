using Lamina.Machine.Backends;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.Scsi;

/// <summary>
/// One command with its data. Made by a controller at construction and used over and over: it belongs to the controller until it is submitted, then to the disk until it ends.
/// </summary>
internal sealed class ScsiRequest : IBlockCompletion
{
    /// <summary>Longest command descriptor block.</summary>
    internal const int CommandLength = 16;

    /// <summary>Most pieces of data.</summary>
    internal const int MaximumBuffers = 256;

    private readonly IScsiCompletion _owner;
    private readonly GuestBuffer[] _data = new GuestBuffer[MaximumBuffers];
    private readonly byte[] _command = new byte[CommandLength];
    private int _dataCount;
    private IBlockBackend? _repeats;
    private ulong _repeatsLeft;
    private uint _repeated;
    private volatile bool _stops;

    internal ScsiRequest(int tag, IScsiCompletion owner)
    {
        Tag = tag;
        _owner = owner;
        Block = new BlockRequest(tag, MaximumBuffers, this);
    }

    /// <summary>Tells the controller's requests apart.</summary>
    internal int Tag { get; }

    /// <summary>The command descriptor block.</summary>
    internal Span<byte> Command => _command;

    /// <summary>Where data goes to or comes from.</summary>
    internal ReadOnlySpan<GuestBuffer> Data => _data.AsSpan(0, _dataCount);

    /// <summary>Bytes of <see cref="Data"/>.</summary>
    internal ulong DataLength { get; private set; }

    /// <summary>How it ended.</summary>
    internal ScsiStatus Status { get; private set; }

    /// <summary>Why, with <see cref="ScsiStatus.CheckCondition"/>.</summary>
    internal SenseCode Sense { get; private set; }

    /// <summary>Bytes of data that went either way.</summary>
    internal ulong Transferred { get; private set; }

    /// <summary>What the back end is asked.</summary>
    internal BlockRequest Block { get; }

    void IBlockCompletion.OnCompleted(BlockRequest request)
    {
        if (SubmitRest())
        {
            FinishBlock();
            _owner.OnCompleted(this);
        }
    }

    /// <summary>Begins a new command.</summary>
    internal void Clear()
    {
        _dataCount = 0;
        DataLength = 0;
        Transferred = 0;
        Status = ScsiStatus.Good;
        Sense = SenseCode.None;
        _repeats = null;
        _stops = false;
        Array.Clear(_command);
        Block.Clear();
    }

    /// <summary>Adds a piece of data.</summary>
    /// <returns><c>false</c> if there is no room.</returns>
    internal bool TryAdd(GuestBuffer buffer)
    {
        if (_dataCount == MaximumBuffers)
        {
            return false;
        }

        _data[_dataCount++] = buffer;
        DataLength += buffer.Length;
        return true;
    }

    /// <summary>Adds a range of guest RAM.</summary>
    /// <returns><c>false</c> if it is not all RAM, or there is no room.</returns>
    internal bool TryAdd(GuestMemory memory, ulong address, uint length)
    {
        DataLength += length;
        return GuestBuffers.TryAdd(memory, _data, ref _dataCount, address, length);
    }

    /// <summary>Ends it without an error.</summary>
    internal void Succeed(ulong transferred) => Transferred = transferred;

    /// <summary>Ends it with an error.</summary>
    internal void Fail(SenseCode sense)
    {
        Status = ScsiStatus.CheckCondition;
        Sense = sense;
        Transferred = 0;
    }

    /// <summary>Gives the back end the first bytes of the data.</summary>
    /// <returns><c>false</c> if there are not so many.</returns>
    internal bool TryUseData(ulong length)
    {
        ulong left = length;
        for (int i = 0; i < _dataCount && left > 0; i++)
        {
            GuestBuffer buffer = _data[i].Length <= left ? _data[i] : _data[i].Take((uint)left);
            left -= buffer.Length;
            Block.TryAdd(buffer);
        }

        return left == 0;
    }

    /// <summary>Writes the first bytes of the data again and again: as often as there is room for in one of the back end's requests, and then the rest.</summary>
    /// <param name="backend">The back end.</param>
    /// <param name="offset">Where, in bytes.</param>
    /// <param name="length">How many bytes of data. There are so many.</param>
    /// <param name="count">How often.</param>
    /// <returns><c>true</c> if it has ended already.</returns>
    internal bool SubmitRepeated(IBlockBackend backend, ulong offset, uint length, ulong count)
    {
        Block.Operation = BlockOperation.Write;
        Block.Offset = offset;
        (_repeats, _repeated, _repeatsLeft) = (backend, length, count * length);
        NextPart();
        if (!backend.Submit(Block) || !SubmitRest())
        {
            return false;
        }

        FinishBlock();
        return true;
    }

    /// <summary>Has data that is written again and again not be written again: the command ends with what is under way, and says that there was a reset. Any thread, while the command is the disk's.</summary>
    internal void StopRepeating() => _stops = true;

    /// <summary>Turns the back end's answer into the command's.</summary>
    internal void FinishBlock()
    {
        bool reads = Block.Operation == BlockOperation.Read;
        if (Block.Result == BlockResult.Done && _repeats is not null && _repeatsLeft > 0)
        {
            Fail(SenseCode.ResetOccurred);
        }
        else if (Block.Result == BlockResult.Done)
        {
            Succeed(reads || (Block.Operation == BlockOperation.Write && _repeats is null) ? Block.Length : DataLength);
        }
        else
        {
            Fail(Block.Result == BlockResult.Unsupported ? SenseCode.InvalidOperation : reads ? SenseCode.ReadError : SenseCode.WriteError);
        }
    }

    // What follows a part that has ended well. False: the back end tells of the end.
    private bool SubmitRest()
    {
        while (_repeats is { } backend && _repeatsLeft > 0 && Block.Result == BlockResult.Done && !_stops)
        {
            Block.Offset += Block.Length;
            NextPart();
            if (!backend.Submit(Block))
            {
                return false;
            }
        }

        return true;
    }

    // Has the data's pieces once for each time that it is written.
    private void NextPart()
    {
        Block.Clear();
        Block.IsPart = true;
        TryUseData(_repeated);
        ulong times = Math.Min((ulong)(MaximumBuffers / Block.BufferCount), _repeatsLeft / _repeated);
        for (ulong i = 1; i < times; i++)
        {
            TryUseData(_repeated);
        }

        _repeatsLeft -= times * _repeated;
    }
}
