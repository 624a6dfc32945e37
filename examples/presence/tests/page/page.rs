//! The page, as two people see it in two browsers.

use crate::browser::{Browser, Tab};
use crate::instance::Instance;
use headwater_servers::Server;
use serde_json::json;

/// Comes in by the form.
pub(crate) async fn come_in(browser: &mut Browser, tab: &Tab, name: &str, device: &str) {
    browser.until(tab, "document.body.dataset.link === 'open'").await;
    browser.enter(tab, "#name", name).await;
    browser.enter(tab, "#device", device).await;
    browser.click(tab, "#join button").await;
    browser.until(tab, &format!("{} === true", is_own(name))).await;
}

/// An expression: whether a person is shown, and marked as the one who looks.
fn is_own(name: &str) -> String {
    format!("{}?.querySelector('.own').hidden === false", person(name))
}

/// An expression for a person in the list; undefined if it is not there.
fn person(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('.person')].find((one) => one.dataset.key === {})",
        json!(name)
    )
}

/// A condition: a person is there with so many devices, of these many people and devices in all.
fn shows(name: &str, devices: u32, [people, all]: [u32; 2]) -> String {
    format!(
        "{}?.dataset.devices === '{devices}' && users.textContent === '{people}' \
         && window.devices.textContent === '{all}'",
        person(name)
    )
}

/// A condition: a person is not there, and the newest words about it in the feed are these.
fn has_gone(name: &str, how: &str) -> String {
    let (said, name) = (json!(format!("{name} {how}")), person(name));
    format!(
        "{name} === undefined && [...document.querySelectorAll('#feed li span')]\
         .some((entry) => entry.textContent === {said})"
    )
}

#[tokio::test]
async fn two_browsers_on_two_instances_see_each_other_come_and_go() {
    let redis = Server::start();
    let short = ["--linger", "100ms"];
    let east = Instance::sharing(&redis, "east", &short);
    let west = Instance::sharing(&redis, "west", &short);
    let (mut adas, mut bobs) = (Browser::start().await, Browser::start().await);

    let ada = adas.open(&east.url).await;
    come_in(&mut adas, &ada, "Ada", "laptop").await;
    let bob = bobs.open(&west.url).await;
    bobs.until(&bob, &shows("Ada", 1, [1, 1])).await;
    come_in(&mut bobs, &bob, "Bob", "desktop").await;
    adas.until(&ada, &shows("Bob", 1, [2, 2])).await;
    adas.until(&ada, "instances.textContent === '2'").await;

    let phone = adas.open(&west.url).await;
    come_in(&mut adas, &phone, "Ada", "phone").await;
    bobs.until(&bob, &shows("Ada", 2, [2, 3])).await;

    adas.close(phone).await;
    bobs.until(&bob, &shows("Ada", 1, [2, 2])).await;
    adas.close(ada).await;
    bobs.until(&bob, &has_gone("Ada", "left")).await;
    bobs.until(&bob, &shows("Bob", 1, [1, 1])).await;

    bobs.click(&bob, "#leave").await;
    bobs.until(&bob, "users.textContent === '0' && nobody.hidden === false").await;
}

#[tokio::test]
async fn the_people_of_a_killed_instance_expire_and_come_back_with_it() {
    let redis = Server::start();
    // Long enough for heartbeats to be late on a busy machine.
    let short = ["--ttl", "4s"];
    let mut east = Instance::sharing(&redis, "east", &short);
    let west = Instance::sharing(&redis, "west", &short);
    let (mut adas, mut bobs) = (Browser::start().await, Browser::start().await);
    let ada = adas.open(&east.url).await;
    come_in(&mut adas, &ada, "Ada", "laptop").await;
    let bob = bobs.open(&west.url).await;
    come_in(&mut bobs, &bob, "Bob", "desktop").await;
    bobs.until(&bob, &shows("Ada", 1, [2, 2])).await;

    east.kill();
    adas.until(&ada, "document.body.dataset.link === 'lost' && banner.hidden === false").await;
    bobs.until(&bob, &has_gone("Ada", "was lost")).await;
    bobs.until(&bob, &shows("Bob", 1, [1, 1])).await;

    east.restart("east", &[&["--redis", &redis.url()], short.as_slice()].concat());
    adas.until(&ada, "document.body.dataset.link === 'open' && banner.hidden === true").await;
    adas.until(&ada, &format!("{} === true", is_own("Ada"))).await;
    bobs.until(&bob, &shows("Ada", 1, [2, 2])).await;
}

#[tokio::test]
async fn a_page_says_when_the_store_is_gone_and_when_it_is_back() {
    let mut redis = Server::start();
    let instance = Instance::sharing(&redis, "east", &["--ttl", "4s"]);
    let mut browser = Browser::start().await;
    let tab = browser.open(&instance.url).await;
    come_in(&mut browser, &tab, "Ada", "laptop").await;
    redis.kill();
    browser.until(&tab, "document.body.dataset.link === 'trouble' && !banner.hidden").await;
    redis.restart();
    // The server lost everything; whoever was there joins again by itself.
    browser.until(&tab, "document.body.dataset.link === 'open' && banner.hidden").await;
    browser.until(&tab, &shows("Ada", 1, [1, 1])).await;
}

#[tokio::test]
async fn names_are_shown_as_text_and_never_as_html() {
    let instance = Instance::start("alone", &[]);
    let mut browser = Browser::start().await;
    let name = "<img src=x onerror=hit=1>";
    let first = browser.open(&instance.url).await;
    let second = browser.open(&instance.url).await;
    come_in(&mut browser, &first, name, "phone").await;
    for tab in [&first, &second] {
        browser.until(tab, &shows(name, 1, [1, 1])).await;
        let shown = browser.eval(tab, "document.querySelector('.person bdi').textContent").await;
        assert_eq!(shown, name);
        let made = "document.querySelector('main img') !== null || window.hit !== undefined";
        assert_eq!(browser.eval(tab, made).await, false);
    }
}

#[tokio::test]
async fn who_cannot_come_in_is_told_why() {
    let instance = Instance::start("alone", &[]);
    let mut browser = Browser::start().await;
    let tab = browser.open(&instance.url).await;
    browser.until(&tab, "document.body.dataset.link === 'open'").await;
    browser.click(&tab, "#join button").await;
    browser.until(&tab, "!fault.hidden && fault.textContent === 'Please say who you are.'").await;
    // The field would not take that many: what it does not check the server does.
    browser.enter(&tab, "#name", &"a".repeat(41)).await;
    browser.click(&tab, "#join button").await;
    browser.until(&tab, "!fault.hidden && fault.textContent.includes('40 characters')").await;
    browser.until(&tab, "document.querySelector('#join').hidden === false").await;
}

#[tokio::test]
async fn who_reloads_the_page_is_here_again() {
    let instance = Instance::start("alone", &["--linger", "100ms"]);
    let mut browser = Browser::start().await;
    let tab = browser.open(&instance.url).await;
    come_in(&mut browser, &tab, "Ada", "tablet").await;
    browser.eval(&tab, "window.isOld = true").await;
    browser.reload(&tab).await;
    browser.until(&tab, "window.isOld === undefined").await;
    browser.until(&tab, &shows("Ada", 1, [1, 1])).await;
    browser.until(&tab, &format!("{} === true", is_own("Ada"))).await;
}

#[tokio::test]
async fn a_phone_shows_all_of_it_without_scrolling_sideways() {
    let long = "ab".repeat(20);
    let instance = Instance::start("a-server-with-quite-a-long-name.example.com:8080", &[]);
    let mut browser = Browser::start().await;
    for (width, height) in [(390, 844), (320, 568), (1280, 800)] {
        let tab = browser.open(&instance.url).await;
        browser.screen(&tab, width, height, false).await;
        let fits = "document.documentElement.scrollWidth <= innerWidth";
        browser.until(&tab, "document.body.dataset.link === 'open'").await;
        assert_eq!(browser.eval(&tab, fits).await, true, "{width}, before the form is sent");
        come_in(&mut browser, &tab, &long, "desktop").await;
        assert_eq!(browser.eval(&tab, fits).await, true, "{width}, with a long name");
        // Fingers need room.
        let smallest = "Math.min(...[...document.querySelectorAll('button, input, select')]\
            .map((one) => one.getBoundingClientRect().height).filter((height) => height > 0))";
        assert!(browser.eval(&tab, smallest).await.as_f64() >= Some(44.0));
    }
}
