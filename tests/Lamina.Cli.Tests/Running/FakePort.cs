using System.Text;
using Lamina.Cli.Running;

namespace Lamina.Cli.Tests.Running;

/// <summary>A guest that takes everything at once, and tells about it.</summary>
internal sealed class FakePort : IInputPort
{
    private readonly StringBuilder _typed = new();

    public Action<string>? OnWrite { get; set; }

    public bool IsDrained => true;

    public string Typed
    {
        get
        {
            lock (_typed)
            {
                return _typed.ToString();
            }
        }
    }

    public void Write(ReadOnlySpan<byte> data)
    {
        string text = Encoding.Latin1.GetString(data);
        lock (_typed)
        {
            _typed.Append(text);
        }

        OnWrite?.Invoke(text);
    }
}
