namespace Lamina.Machine.Backends;

/// <summary>
/// One request to a block back end, with room for its buffers. Made by a device at construction and used over and over: it belongs to the device until it is submitted, then to
/// the back end until it completes.
/// </summary>
public sealed class BlockRequest
{
    private readonly Memory<GuestBuffer> _buffers;
    private readonly IBlockCompletion _owner;

    /// <summary>Makes one.</summary>
    /// <param name="tag">Its tag.</param>
    /// <param name="capacity">Most buffers.</param>
    /// <param name="owner">Told when it completes.</param>
    public BlockRequest(int tag, int capacity, IBlockCompletion owner)
        : this(tag, new GuestBuffer[capacity], owner)
    {
    }

    private BlockRequest(int tag, Memory<GuestBuffer> buffers, IBlockCompletion owner)
    {
        Tag = tag;
        _buffers = buffers;
        _owner = owner;
    }

    /// <summary>Tells the device's requests apart.</summary>
    public int Tag { get; }

    /// <summary>What to do.</summary>
    public BlockOperation Operation { get; set; }

    /// <summary>Where, in bytes from the start of the disk; a multiple of 512, with the length inside the disk.</summary>
    public ulong Offset { get; set; }

    /// <summary>Bytes; for reads and writes the sum of the buffers.</summary>
    public ulong Length { get; set; }

    /// <summary>For <see cref="BlockOperation.WriteZeroes"/>: the range need not keep its space.</summary>
    public bool MayDiscard { get; set; }

    /// <summary>For reads and writes: one of many parts, not to be done on the thread that submits it, however fast that would be.</summary>
    public bool IsPart { get; set; }

    /// <summary>The buffers, in the order of the disk.</summary>
    public ReadOnlySpan<GuestBuffer> Buffers => _buffers.Span[..BufferCount];

    /// <summary>Number of buffers.</summary>
    public int BufferCount { get; private set; }

    /// <summary>How it ended.</summary>
    public BlockResult Result { get; set; }

    /// <summary>The next in a queue of the back end's.</summary>
    public BlockRequest? Next { get; set; }

    /// <summary>Makes several, with tags from 0 on, and their buffers in one piece of memory, of which only what is used is ever touched.</summary>
    /// <param name="count">How many.</param>
    /// <param name="capacity">Most buffers of each.</param>
    /// <param name="owner">Told when one completes.</param>
    public static BlockRequest[] Create(int count, int capacity, IBlockCompletion owner)
    {
        Memory<GuestBuffer> buffers = new GuestBuffer[count * capacity];
        BlockRequest[] requests = new BlockRequest[count];
        for (int i = 0; i < count; i++)
        {
            requests[i] = new BlockRequest(i, buffers.Slice(i * capacity, capacity), owner);
        }

        return requests;
    }

    /// <summary>Removes the buffers.</summary>
    public void Clear()
    {
        BufferCount = 0;
        Length = 0;
        MayDiscard = false;
        IsPart = false;
    }

    /// <summary>Adds a buffer.</summary>
    /// <returns><c>false</c> if there is no room.</returns>
    public bool TryAdd(GuestBuffer buffer)
    {
        if (BufferCount == _buffers.Length)
        {
            return false;
        }

        _buffers.Span[BufferCount++] = buffer;
        Length += buffer.Length;
        return true;
    }

    /// <summary>Ends a request for which <see cref="IBlockBackend.Submit"/> has returned <c>false</c>. With no lock held that a submission takes.</summary>
    public void Complete(BlockResult result)
    {
        Result = result;
        _owner.OnCompleted(this);
    }
}
