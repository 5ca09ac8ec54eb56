using Lamina.Machine.Backends;

namespace Lamina.Tests.Fakes;

/// <summary>A disk in memory that ends requests at once, or when the test says.</summary>
internal sealed unsafe class TestDisk(int length) : IBlockBackend
{
    public byte[] Content { get; set; } = new byte[length];

    public Queue<BlockRequest> Held { get; } = new();

    public bool Hold { get; set; }

    public BlockResult Answer { get; set; } = BlockResult.Done;

    public List<string> Log { get; } = [];

    /// <summary>What another processor of the guest does while a request is taken.</summary>
    public Action? Submitting { get; set; }

    public ulong Length => (ulong)Content.Length;

    public bool IsReadOnly { get; set; }

    public bool CanDiscard { get; set; } = true;

    public uint PreferredBlock => 4096;

    public bool Submit(BlockRequest request)
    {
        Log.Add($"{request.Operation} {request.Offset}+{request.Length}{(request.MayDiscard ? " discard" : "")}");
        Submitting?.Invoke();
        if (Hold)
        {
            Held.Enqueue(request);
            return false;
        }

        request.Result = Execute(request);
        return true;
    }

    public void CompleteOne() => Held.Peek().Complete(Execute(Held.Dequeue()));

    /// <summary>Has requests end on another thread, as those of a host's asynchronous calls do, while somebody waits for them.</summary>
    public bool EndsElsewhere { get; set; }

    public void Drain()
    {
        if (EndsElsewhere)
        {
            Thread thread = new(CompleteAll);
            thread.Start();
            thread.Join();
        }
        else
        {
            CompleteAll();
        }
    }

    private void CompleteAll()
    {
        while (Held.Count > 0)
        {
            CompleteOne();
        }
    }

    private BlockResult Execute(BlockRequest request)
    {
        if (Answer != BlockResult.Done)
        {
            return Answer;
        }

        int at = (int)request.Offset;
        switch (request.Operation)
        {
            case BlockOperation.WriteZeroes:
                Content.AsSpan(at, (int)request.Length).Clear();
                break;
            case BlockOperation.Read or BlockOperation.Write:
                foreach (GuestBuffer buffer in request.Buffers)
                {
                    Span<byte> guest = new((void*)buffer.HostAddress, (int)buffer.Length);
                    Span<byte> disk = Content.AsSpan(at, guest.Length);
                    (request.Operation == BlockOperation.Read ? disk : guest).CopyTo(request.Operation == BlockOperation.Read ? guest : disk);
                    at += guest.Length;
                }

                break;
        }

        return BlockResult.Done;
    }
}
