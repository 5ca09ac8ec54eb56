using Lamina.Machine.Backends;

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
        FinishBlock();
        _owner.OnCompleted(this);
    }

    /// <summary>Begins a new command.</summary>
    internal void Clear()
    {
        _dataCount = 0;
        DataLength = 0;
        Transferred = 0;
        Status = ScsiStatus.Good;
        Sense = SenseCode.None;
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

    /// <summary>Turns the back end's answer into the command's.</summary>
    internal void FinishBlock()
    {
        bool reads = Block.Operation == BlockOperation.Read;
        if (Block.Result == BlockResult.Done)
        {
            Succeed(reads || Block.Operation == BlockOperation.Write ? Block.Length : DataLength);
        }
        else
        {
            Fail(Block.Result == BlockResult.Unsupported ? SenseCode.InvalidOperation : reads ? SenseCode.ReadError : SenseCode.WriteError);
        }
    }
}
