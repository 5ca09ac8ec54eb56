using Lamina.Machine.Memory;

namespace Lamina.Machine.Backends;

/// <summary>
/// One FUSE message to a shared folder, and the room for its answer. Made by a device at construction and used over and over: it belongs to the device until it is submitted,
/// then to the back end until it completes.
/// </summary>
public sealed class FileSystemRequest(int tag, int capacity, GuestMemory memory, IFileSystemCompletion owner)
{
    private readonly GuestBuffer[] _buffers = new GuestBuffer[capacity];
    private int _readable;
    private int _count;

    /// <summary>Tells the device's requests apart.</summary>
    public int Tag { get; } = tag;

    /// <summary>The message.</summary>
    public ReadOnlySpan<GuestBuffer> Message => _buffers.AsSpan(0, _readable);

    /// <summary>The room for the answer; empty if none is wanted.</summary>
    public ReadOnlySpan<GuestBuffer> Answer => _buffers.AsSpan(_readable, _count - _readable);

    /// <summary>Bytes of room for the answer.</summary>
    public ulong AnswerLength { get; private set; }

    /// <summary>The next in a queue of the back end's.</summary>
    public FileSystemRequest? Next { get; set; }

    /// <summary>Takes the parts of a message.</summary>
    /// <returns><c>false</c> if there are too many.</returns>
    public bool TrySet(ReadOnlySpan<GuestBuffer> message, ReadOnlySpan<GuestBuffer> answer)
    {
        if (message.Length + answer.Length > _buffers.Length)
        {
            return false;
        }

        message.CopyTo(_buffers);
        answer.CopyTo(_buffers.AsSpan(message.Length));
        _readable = message.Length;
        _count = message.Length + answer.Length;
        AnswerLength = 0;
        foreach (GuestBuffer buffer in answer)
        {
            AnswerLength += buffer.Length;
        }

        return true;
    }

    /// <summary>Copies bytes of the message.</summary>
    /// <returns>How many there were.</returns>
    public int Read(ulong offset, Span<byte> destination) => GuestBuffers.Read(memory, Message, offset, destination);

    /// <summary>Writes bytes of the answer.</summary>
    /// <returns>How many fitted.</returns>
    public int Write(ulong offset, ReadOnlySpan<byte> source) => GuestBuffers.Write(memory, Answer, offset, source);

    /// <summary>Says that the host has written to a buffer by its host address.</summary>
    public void MarkWritten(GuestBuffer buffer) => memory.MarkWritten(buffer.Address, buffer.Length);

    /// <summary>Ends the request.</summary>
    /// <param name="written">Bytes of the answer.</param>
    public void Complete(uint written) => owner.OnCompleted(this, written);
}
