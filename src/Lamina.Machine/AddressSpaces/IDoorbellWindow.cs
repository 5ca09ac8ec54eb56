namespace Lamina.Machine.AddressSpaces;

/// <summary>A window with doorbells among its registers.</summary>
public interface IDoorbellWindow : IRegisterWindow
{
    /// <summary>They; the same as long as the window lives.</summary>
    ReadOnlySpan<Doorbell> Doorbells { get; }
}
