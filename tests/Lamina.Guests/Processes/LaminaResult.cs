using System.Text;

namespace Lamina.Guests.Processes;

/// <summary>What the program left.</summary>
internal sealed record LaminaResult(int Status, byte[] Output, string Error)
{
    /// <summary>Its output as text.</summary>
    public string Text => Encoding.UTF8.GetString(Output);
}
