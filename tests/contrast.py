"""Whether texts can be read: their contrast to what is painted under them (WCAG 2.2, 1.4.3)."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

_RATIOS = """(elements) => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const under = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = numbers(getComputedStyle(one).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const ratio = (one) => {
    const [a, b] = [light(numbers(getComputedStyle(one).color)), light(under(one))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  return elements
    .filter((one) => one.checkVisibility() && [...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .map((one) => [one.textContent.trim(), ratio(one)]);
}"""


def pale(page: Page, selector: str) -> list[Any]:
    """`[text, ratio]` of the visible elements whose ratio is below 4.5; fails where there is no text at all."""
    ratios = page.locator(selector).evaluate_all(_RATIOS)
    assert ratios, f"no text in {selector}"
    return [[text, ratio] for text, ratio in ratios if ratio < 4.5]
