using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Lamina.Interop.Files;
using Lamina.Interop.Networks;
using Lamina.Management.Protocol;

namespace Lamina.Cli.Control;

/// <summary>A request and the answer to it.</summary>
internal sealed class ControlExchange(ControlChannel channel, ControlRequest request)
{
    /// <summary>Whether the connection belongs to the verb's stream.</summary>
    public bool HasStream { get; private set; }

    /// <summary>Whether an answer was sent.</summary>
    public bool IsAnswered { get; private set; }

    /// <summary>The request's arguments; the defaults where there are none.</summary>
    /// <exception cref="ControlException">They have wrong types.</exception>
    public T ReadArguments<T>(JsonTypeInfo<T> type)
        where T : class, new()
    {
        if (request.Arguments is not { } arguments)
        {
            return new T();
        }

        try
        {
            return arguments.Deserialize(type) ?? new T();
        }
        catch (JsonException e)
        {
            throw new ControlException(ControlErrors.BadArguments, $"The arguments of '{request.Verb}' are not acceptable: {e.Message}", e);
        }
    }

    /// <summary>Says that it was done.</summary>
    public void Reply() => Send(new ControlResponse { Ok = true, Id = request.Id });

    /// <summary>Gives the result.</summary>
    public void Reply<T>(T result, JsonTypeInfo<T> type) => Send(new ControlResponse { Ok = true, Id = request.Id, Result = JsonSerializer.SerializeToElement(result, type) });

    /// <summary>Says why it was not done.</summary>
    public void Fail(string code, string message) => Send(new ControlResponse { Id = request.Id, Error = new ControlError(code, message) });

    /// <summary>Answers that a stream of bytes follows, in both directions. It ends when the verb returns.</summary>
    public ControlChannel OpenStream()
    {
        HasStream = true;
        Send(new ControlResponse { Ok = true, Id = request.Id, Stream = true });
        return channel;
    }

    /// <summary>Receives files that the client has opened, in the stream.</summary>
    /// <param name="names">What they are called.</param>
    /// <exception cref="ControlException">They do not come.</exception>
    public IReadOnlyList<PassedFile> ReceiveFiles(IReadOnlyList<string> names)
    {
        if (names.Count > DescriptorPassing.Maximum)
        {
            throw new ControlException(ControlErrors.BadArguments, $"At most {DescriptorPassing.Maximum} files can be passed.");
        }

        int[] numbers = new int[names.Count];
        return channel.IsEmpty && DescriptorPassing.TryReceive(channel.Handle, numbers)
            ? [.. names.Select((name, i) => new PassedFile(numbers[i], name))]
            : throw new ControlException(ControlErrors.BadArguments, $"{names.Count} descriptors were expected, in one message.");
    }

    private void Send(ControlResponse response)
    {
        IsAnswered = true;
        channel.TryWrite([.. JsonSerializer.SerializeToUtf8Bytes(response, ControlJson.Default.ControlResponse), (byte)'\n']);
    }
}
